// SPDX-License-Identifier: Apache-2.0

/// Finds the named tensors in what a PyTorch checkpoint holds.
///
/// A checkpoint is a dict of tensors, or a dict of a training run with the state dict under one of
/// ``keys``. The first level that has tensors is taken; entries that are no tensors (an epoch, a
/// configuration) are passed over. When every name begins with `module.`, which
/// `torch.nn.DataParallel` puts there, that is removed.
struct TorchStateDict {
  /// Where a training run's checkpoint keeps the weights, in order of preference.
  static let keys = ["state_dict", "model_state_dict", "model", "model_state", "net_dict", "net"]

  let tensors: [(name: String, tensor: TorchTensor)]

  /// - Parameter root: what the pickle of `machine` is.
  init(_ root: PickleValue, _ machine: PickleMachine) throws(CheckpointError) {
    guard case .dictionary(let index) = root else {
      throw machine.cursor.error(
        .wrongFormat, "a state dict is expected, found \(root.kindName)", at: 0,
        nextStep: "Save the weights with torch.save(model.state_dict(), path).")
    }
    let top = machine.arena.dictionaries[index]
    let nested = TorchStateDict.keys.compactMap { key -> PickleDictionary? in
      guard case .dictionary(let index)? = top[key] else { return nil }
      return machine.arena.dictionaries[index]
    }
    let levels = ([top] + nested).map { TorchStateDict.tensors(of: $0, machine.arena) }
    guard let found = levels.first(where: { !$0.isEmpty }) else {
      throw machine.cursor.error(
        .wrongFormat, TorchStateDict.emptyReason(top), at: 0,
        nextStep: "Save the weights with torch.save(model.state_dict(), path).")
    }
    let prefix = "module."
    let isParallel = found.allSatisfy { $0.name.hasPrefix(prefix) }
    tensors =
      isParallel ? found.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) } : found
  }

  private static func tensors(
    of dictionary: PickleDictionary, _ arena: PickleArena
  ) -> [(name: String, tensor: TorchTensor)] {
    dictionary.entries.compactMap { entry in
      guard case .string(let name) = entry.key, case .tensor(let index) = entry.value else {
        return nil
      }
      return (name, arena.tensors[index])
    }
  }

  private static func emptyReason(_ top: PickleDictionary) -> String {
    let names = top.entries.compactMap { entry -> String? in
      if case .string(let name) = entry.key { name } else { nil }
    }
    guard !names.isEmpty else { return "the checkpoint holds no tensors" }
    let places = keys.map { "'\($0)'" }.joined(separator: ", ")
    return "no tensors at the top or under \(places); its entries are \(listed(names))"
  }

  /// The tensors, given where the data of each storage begins.
  ///
  /// Tensors may share storage and be expanded; together they may be at most four times the file
  /// (and 64 MiB), so that a small file cannot ask for a large memory.
  func stored(
    in source: ByteSource, offsets: [String: Int]
  ) throws(CheckpointError) -> [StoredTensor] {
    let limit = 4 * source.count + 1 << 26
    var total = 0
    var result: [StoredTensor] = []
    for (name, tensor) in tensors {
      let size = tensor.storage.elementType.size
      guard tensor.shape.count * size <= limit - total else {
        throw CheckpointError(
          source.path, .tooLarge,
          "tensor \(quoted(name)) \(tensor.shape) repeats what is stored,"
            + " beyond 4 times the file's \(source.count) bytes",
          nextStep: "Save contiguous copies of its tensors.")
      }
      total += tensor.shape.count * size
      result.append(
        StoredTensor(
          name: name, tensor.storage.elementType, tensor.shape, in: source,
          offset: (offsets[tensor.storage.key] ?? 0) + tensor.offset * size,
          strides: tensor.strides))
    }
    return result
  }
}
