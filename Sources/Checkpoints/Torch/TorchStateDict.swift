// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Chooses the network's tensors among everything that a PyTorch file holds.
///
/// A file is a dictionary of tensors, a module, or a training run's dictionary with the state
/// dictionary somewhere in it. ``TorchSearch`` lists every collection of tensors. Those with at least
/// half as many layers' tensors as the largest may be networks; single tensors beside them (a best
/// accuracy, class weights, the state of a random generator) never are. Among networks the key decides:
/// ``keys`` in order, averages of a run's weights last. Entries that are no tensors are passed over and
/// listed. A prefix that stands before every name is removed.
struct TorchStateDict {
  /// Where a training run's checkpoint keeps the weights, in order of preference.
  static let keys = [
    "state_dict", "model_state_dict", "model", "model_state", "module", "net_dict", "net",
    "network", "weights", "params",
  ]

  /// Parts of keys of weights that were averaged over a run's steps.
  private static let averages = ["ema", "averag", "swa", "teacher", "momentum", "target", "shadow"]

  /// What stands before every name: `torch.nn.DataParallel`, `torch.compile`, Lightning and
  /// averaging, and models that keep their backbone in an attribute.
  static let prefixes = [
    "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "ema_model.",
  ]

  let tensors: [(name: String, tensor: TorchTensor)]
  private let around: CheckpointSurroundings
  private let normalizations: [TorchNormalization]

  /// - Parameters:
  ///   - root: what the pickle of `machine` is.
  ///   - key: the collection that the user chose; nil to choose by the rules above.
  init(
    _ root: PickleValue, _ machine: PickleMachine, key: String? = nil
  ) throws(CheckpointError) {
    let search = TorchSearch(root, machine.arena)
    let networks = TorchStateDict.networks(search.found)
    guard !networks.isEmpty else {
      throw machine.cursor.error(
        .wrongFormat, TorchStateDict.emptyReason(root, machine.arena), at: 0,
        nextStep: "Save the weights with torch.save(model.state_dict(), path).")
    }
    var chosen = networks[0]
    var isChosen = false
    if let key, let named = TorchStateDict.collection(key, in: search.found) {
      (chosen, isChosen) = (named, true)
    }
    let (bare, prefix) = TorchStateDict.withoutPrefixes(chosen.tensors)
    tensors = bare
    var data = PlainData(machine.arena)
    normalizations = TorchNormalization.all(machine.arena)
    var around = CheckpointSurroundings()
    (around.place, around.isChosen, around.prefix) = (chosen.key, isChosen, prefix)
    around.alternatives = networks.map(\.key).filter { $0 != chosen.key }
    around.leftOut = TorchStateDict.leftOut(root, chosen, machine.arena)
    around.data = data.json(root)
    around.vocabularies = TorchStateDict.vocabularies(machine.arena)
    around.writer = TorchStateDict.writer(root, search.modules, machine.arena)
    around.modules = TorchStateDict.modules(chosen.modules, without: prefix)
    around.losses = TorchStateDict.losses(machine.arena)
    self.around = around
  }

  /// The collections that may be a network's, in order of preference.
  private static func networks(_ found: [TorchCollection]) -> [TorchCollection] {
    let most = found.map(\.layered).max() ?? 0
    let large = found.filter { most == 0 || 2 * $0.layered >= most }
    return large.enumerated().sorted {
      let (left, right) = (rank($0.element), rank($1.element))
      return left == right ? $0.offset < $1.offset : left < right
    }.map(\.element)
  }

  private static func rank(_ collection: TorchCollection) -> Int {
    let words = collection.place.map { $0.lowercased() }
    if words.contains(where: { word in averages.contains { word.contains($0) } }) {
      return 2 * keys.count
    }
    // The key nearest to the tensors says what they are.
    guard let last = collection.place.last(where: { Int($0) == nil }) else { return 0 }
    return keys.firstIndex(of: last).map { $0 + 1 } ?? keys.count + 1
  }

  private static func collection(_ key: String, in found: [TorchCollection]) -> TorchCollection? {
    found.first { $0.key == key }
      ?? found.filter { $0.key.hasSuffix("." + key) || $0.key.hasPrefix(key + ".") }
      .max { $0.layered < $1.layered }
  }

  private static func withoutPrefixes(
    _ tensors: [(name: String, tensor: TorchTensor)]
  ) -> (tensors: [(name: String, tensor: TorchTensor)], prefix: String) {
    var (tensors, removed) = (tensors, "")
    while let prefix = prefixes.first(where: { prefix in
      // What is left must still be a parameter of a layer.
      tensors.allSatisfy {
        $0.name.hasPrefix(prefix) && $0.name.dropFirst(prefix.count).contains(".")
      }
    }) {
      tensors = tensors.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) }
      removed += prefix
    }
    return (tensors, removed)
  }

  /// The modules below a prefix, under their paths without it.
  private static func modules(
    _ modules: [PickledModule], without prefix: String
  ) -> [PickledModule] {
    guard !prefix.isEmpty else { return modules }
    return modules.compactMap { module in
      guard (module.path + ".").hasPrefix(prefix) else { return nil }
      var inner = module
      inner.path = String((module.path + ".").dropFirst(prefix.count).dropLast())
      return inner
    }
  }

  // MARK: What is beside the tensors

  /// The entries at the top that are not read, each with what it is.
  private static func leftOut(
    _ root: PickleValue, _ chosen: TorchCollection, _ arena: PickleArena
  ) -> [String] {
    guard case .dictionary(let index) = root else { return [] }
    return arena.dictionaries[index].entries.compactMap { entry in
      guard let name = arena.keyText(entry.key), name != chosen.place.first else { return nil }
      if chosen.place.isEmpty, case .tensor = entry.value { return nil }
      return "\(quoted(name)) (\(arena.kindName(entry.value)))"
    }
  }

  /// The lists of fastai's categories, wherever they are.
  private static func vocabularies(_ arena: PickleArena) -> [[String]] {
    arena.objects.compactMap { object -> [String]? in
      guard object.name.hasSuffix(".CategoryMap"),
        let items = arena.attributes(of: object)?["items"],
        let elements = vocabularyElements(items, arena)
      else { return nil }
      let names = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
      return names.count == elements.count ? names : nil
    }
  }

  private static func vocabularyElements(
    _ items: PickleValue, _ arena: PickleArena
  ) -> [PickleValue]? {
    guard case .object(let index) = items else { return arena.elements(items) }
    let object = arena.objects[index]
    if !object.elements.isEmpty { return object.elements }
    return arena.attributes(of: object)?["items"].flatMap { arena.elements($0) }
  }

  /// The classes of losses among the objects, wherever they are.
  private static func losses(_ arena: PickleArena) -> [String] {
    var seen: Set<String> = []
    return arena.objects.compactMap { object -> String? in
      guard let name = object.name.split(separator: ".").last.map(String.init),
        name.hasSuffix("Loss") || name.hasSuffix("LossFlat"), seen.insert(name).inserted
      else { return nil }
      return visibleName(name)
    }
  }

  /// The library that wrote the file, as far as it says so.
  private static func writer(
    _ root: PickleValue, _ modules: [String], _ arena: PickleArena
  ) -> String? {
    switch root {
    case .dictionary(let index):
      let top = arena.dictionaries[index]
      if case .string(let version)? = top["pytorch-lightning_version"] {
        return "PyTorch Lightning \(visibleName(version))"
      }
      if case .dictionary(let meta)? = top["meta"],
        case .string(let version)? = arena.dictionaries[meta]["mmengine_version"]
          ?? arena.dictionaries[meta]["mmcv_version"]
      {
        return "OpenMMLab's trainer \(visibleName(version))"
      }
      if top["model"] != nil, top["opt"] != nil { return "fastai's learn.save" }
      return modules.first.map { "a pickled module, \(visibleName($0))" }
    case .object(let index):
      let name = arena.objects[index].name
      return name.hasPrefix("fastai.") ? "fastai's learn.export" : "a pickled \(visibleName(name))"
    default: return nil
    }
  }

  private static func emptyReason(_ root: PickleValue, _ arena: PickleArena) -> String {
    guard case .dictionary(let index) = root else {
      return "a state dict is expected, found \(arena.kindName(root)) without tensors"
    }
    let names = arena.dictionaries[index].entries.compactMap { entry -> String? in
      if case .string(let name) = entry.key { name } else { nil }
    }
    guard !names.isEmpty else { return "the checkpoint holds no tensors" }
    return "no tensors anywhere in it; its entries are \(listed(names))"
  }

  /// What is around the tensors, given where the data of each storage begins.
  func surroundings(
    in source: ByteSource, offsets: [String: Int]
  ) throws(CheckpointError) -> CheckpointSurroundings {
    var result = around
    result.normalization = try TorchNormalization.shared(
      normalizations, in: source, offsets: offsets)
    return result
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
