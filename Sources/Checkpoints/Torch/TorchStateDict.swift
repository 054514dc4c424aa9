// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// Finds the named tensors in what a PyTorch checkpoint holds.
///
/// A checkpoint is a dict of tensors, or a dict of a training run with the state dict under one of
/// ``keys``, perhaps two or three levels down. The first level that has tensors is taken, and the
/// average of a run's weights only when there is nothing else; entries that are no tensors (an
/// epoch, a configuration) are passed over. Prefixes that wrappers put before every name are removed.
struct TorchStateDict {
  /// Where a training run's checkpoint keeps the weights, in order of preference.
  static let keys = [
    "state_dict", "model_state_dict", "model", "model_state", "module", "net_dict", "net",
    "network", "weights", "params", "ema", "model_ema", "state_dict_ema", "ema_state_dict",
    "params_ema",
  ]

  /// What stands before every name: `torch.nn.DataParallel`, `torch.compile`, Lightning and
  /// averaging, and models that keep their backbone in an attribute.
  private static let prefixes = [
    "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "ema_model.",
  ]

  let tensors: [(name: String, tensor: TorchTensor)]

  /// - Parameter root: what the pickle of `machine` is.
  init(_ root: PickleValue, _ machine: PickleMachine) throws(CheckpointError) {
    guard case .dictionary(let index) = root else {
      throw machine.cursor.error(
        .wrongFormat, "a state dict is expected, found \(root.kindName)", at: 0,
        nextStep: "Save the weights with torch.save(model.state_dict(), path).")
    }
    let top = machine.arena.dictionaries[index]
    let levels = TorchStateDict.levels(below: index, machine.arena)
    guard
      let found = levels.lazy.map({ TorchStateDict.tensors(of: $0, machine.arena) })
        .first(where: { !$0.isEmpty })
    else {
      throw machine.cursor.error(
        .wrongFormat, TorchStateDict.emptyReason(top), at: 0,
        nextStep: "Save the weights with torch.save(model.state_dict(), path).")
    }
    tensors = TorchStateDict.withoutPrefixes(found)
  }

  /// The dict at `index` and those under ``keys`` in it, three levels deep, nearest first.
  private static func levels(below index: Int, _ arena: PickleArena) -> [PickleDictionary] {
    var found = [index]
    var level = found
    for _ in 0..<3 {
      level = level.flatMap { parent in
        keys.compactMap { key -> Int? in
          guard case .dictionary(let child)? = arena.dictionaries[parent][key] else { return nil }
          return found.contains(child) ? nil : child
        }
      }
      found += level
    }
    return found.map { arena.dictionaries[$0] }
  }

  private static func withoutPrefixes(
    _ tensors: [(name: String, tensor: TorchTensor)]
  ) -> [(name: String, tensor: TorchTensor)] {
    var tensors = tensors
    while let prefix = prefixes.first(where: { prefix in
      // What is left must still be a parameter of a layer.
      tensors.allSatisfy {
        $0.name.hasPrefix(prefix) && $0.name.dropFirst(prefix.count).contains(".")
      }
    }) {
      tensors = tensors.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) }
    }
    return tensors
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
