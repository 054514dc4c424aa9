// SPDX-License-Identifier: Apache-2.0

/// Tensors that belong together in what a PyTorch file holds: the entries of one dictionary, or the
/// parameters and buffers of one module.
struct TorchCollection {
  /// The keys that lead to it, none at the top.
  let place: [String]
  let tensors: [(name: String, tensor: TorchTensor)]
  /// The modules that keep them; empty for a dictionary.
  var modules: [PickledModule] = []

  /// `state_dict`, `ema.module`; nothing at the top.
  var key: String { place.joined(separator: ".") }

  /// How many of the tensors may be a layer's: they have a layer's name before their own.
  var layered: Int {
    tensors.count { $0.name.contains(".") && $0.tensor.shape.rank > 0 }
  }
}

/// Looks through everything a pickle holds for collections of tensors, nearest first.
///
/// Dictionaries, lists, and the attributes of placeholders are visited once each. A module
/// (something with `_parameters` and `_modules`) gives its parameters and buffers under the names that
/// `state_dict()` gives them. Optimizers, which keep as many tensors as the network has, are passed by.
struct TorchSearch {
  private let arena: PickleArena
  private(set) var found: [TorchCollection] = []
  private(set) var modules: [String] = []
  private var visited: Set<Place> = []

  private struct Place: Hashable {
    let kind: Int
    let index: Int
  }

  private static let visits = 500_000
  private static let depth = 12

  init(_ root: PickleValue, _ arena: PickleArena) {
    self.arena = arena
    var level: [(value: PickleValue, place: [String])] = [(root, [])]
    while !level.isEmpty, visited.count < TorchSearch.visits {
      var next: [(value: PickleValue, place: [String])] = []
      for (value, place) in level { visit(value, place, &next) }
      level = level[0].place.count < TorchSearch.depth ? next : []
    }
  }

  private mutating func visit(
    _ value: PickleValue, _ place: [String], _ next: inout [(value: PickleValue, place: [String])]
  ) {
    switch value {
    case .dictionary(let index):
      guard visited.insert(Place(kind: 0, index: index)).inserted else { return }
      visit(arena.dictionaries[index], place, &next)
    case .list(let index):
      guard visited.insert(Place(kind: 1, index: index)).inserted else { return }
      visit(arena.lists[index], place, &next)
    case .tuple(let index):
      guard visited.insert(Place(kind: 2, index: index)).inserted else { return }
      visit(arena.tuples[index], place, &next)
    case .object(let index):
      guard visited.insert(Place(kind: 3, index: index)).inserted else { return }
      visit(arena.objects[index], place, &next)
    default: return
    }
  }

  private mutating func visit(
    _ elements: [PickleValue], _ place: [String],
    _ next: inout [(value: PickleValue, place: [String])]
  ) {
    for (number, element) in elements.prefix(64).enumerated() {
      push(element, place + ["\(number)"], &next)
    }
  }

  private mutating func visit(
    _ dictionary: PickleDictionary, _ place: [String],
    _ next: inout [(value: PickleValue, place: [String])]
  ) {
    // An optimizer's state is as large as the network, and is none.
    guard dictionary["param_groups"] == nil else { return }
    let tensors = dictionary.entries.compactMap { entry -> (name: String, tensor: TorchTensor)? in
      guard case .string(let name) = entry.key else { return nil }
      return arena.tensor(entry.value).map { (name, $0) }
    }
    if !tensors.isEmpty { found.append(TorchCollection(place: place, tensors: tensors)) }
    for entry in dictionary.entries {
      guard let name = arena.keyText(entry.key) else { continue }
      push(entry.value, place + [name], &next)
    }
  }

  private mutating func visit(
    _ object: PickleObject, _ place: [String],
    _ next: inout [(value: PickleValue, place: [String])]
  ) {
    if let module = TorchModule(object, arena) {
      let tensors = module.tensors()
      if !tensors.isEmpty {
        found.append(
          TorchCollection(place: place, tensors: tensors, modules: module.descriptions()))
        modules.append(object.name)
      }
      return
    }
    if let attributes = arena.attributes(of: object) { visit(attributes, place, &next) }
    if !object.entries.entries.isEmpty { visit(object.entries, place, &next) }
    visit(object.arguments + object.elements, place, &next)
  }

  private func push(
    _ value: PickleValue, _ place: [String],
    _ next: inout [(value: PickleValue, place: [String])]
  ) {
    switch value {
    case .dictionary, .list, .tuple, .object: next.append((value, place))
    default: return
    }
  }
}

/// A pickled `torch.nn.Module`, walked as `state_dict()` walks one.
///
/// - Source: torch/nn/modules/module.py, `_save_to_state_dict`: parameters, then buffers but those in
///   `_non_persistent_buffers_set`, then the modules inside.
struct TorchModule {
  private let arena: PickleArena
  private let root: PickleDictionary
  private let className: String

  /// Nil for an object that is no module.
  init?(_ object: PickleObject, _ arena: PickleArena) {
    guard let attributes = arena.attributes(of: object), TorchModule.isModule(attributes) else {
      return nil
    }
    self.arena = arena
    root = attributes
    className = object.name
  }

  private static func isModule(_ attributes: PickleDictionary) -> Bool {
    guard case .dictionary? = attributes["_parameters"], case .dictionary? = attributes["_modules"]
    else { return false }
    return true
  }

  /// Parameters and buffers by their paths. A module inside itself is entered once.
  func tensors() -> [(name: String, tensor: TorchTensor)] {
    var result: [(name: String, tensor: TorchTensor)] = []
    visit { path, _, attributes in
      let prefix = path.isEmpty ? "" : path + "."
      result += own(attributes).map { (prefix + $0.name, $0.tensor) }
    }
    // Two paths may read the same in a file that means harm.
    var names: Set<String> = []
    return result.filter { names.insert($0.name).inserted }
  }

  /// The modules by their paths, with what plain settings they keep.
  func descriptions() -> [PickledModule] {
    var result: [PickledModule] = []
    visit { path, name, attributes in
      guard result.count < 50_000 else { return }
      var data = PlainData(arena)
      var settings: [String: JSONValue] = [:]
      for key in PickledModule.keys {
        if let value = attributes[key] { settings[key] = data.json(value) }
      }
      result.append(
        PickledModule(path: path, className: visibleName(name), settings: settings))
    }
    return result
  }

  /// Every module inside, itself first, in the order of the definition.
  private func visit(_ body: (_ path: String, _ name: String, PickleDictionary) -> Void) {
    // Without recursion: the next module is the last of the list.
    var open: [(path: String, name: String, attributes: PickleDictionary)] = [
      ("", className, root)
    ]
    var visited: Set<Int> = []
    while let (path, name, attributes) = open.popLast() {
      body(path, name, attributes)
      guard case .dictionary(let index)? = attributes["_modules"], path.utf8.count < 512 else {
        continue
      }
      for entry in arena.dictionaries[index].entries.reversed() {
        guard case .string(let name) = entry.key, case .object(let child) = entry.value,
          visited.insert(child).inserted,
          let inner = arena.attributes(of: arena.objects[child]), TorchModule.isModule(inner)
        else { continue }
        open.append(((path.isEmpty ? "" : path + ".") + name, arena.objects[child].name, inner))
      }
    }
  }

  private func own(_ attributes: PickleDictionary) -> [(name: String, tensor: TorchTensor)] {
    let passing = Set(
      (attributes["_non_persistent_buffers_set"].flatMap { arena.members($0) } ?? []).compactMap {
        if case .string(let name) = $0 { name } else { nil }
      })
    return ["_parameters", "_buffers"].flatMap { key -> [(name: String, tensor: TorchTensor)] in
      guard case .dictionary(let index)? = attributes[key] else { return [] }
      return arena.dictionaries[index].entries.compactMap { entry in
        guard case .string(let name) = entry.key, !passing.contains(name),
          let tensor = arena.tensor(entry.value)
        else { return nil }
        return (name, tensor)
      }
    }
  }
}

extension PickleArena {
  /// The tensor that a value is; nil for anything else.
  func tensor(_ value: PickleValue) -> TorchTensor? {
    if case .tensor(let index) = value { tensors[index] } else { nil }
  }

  /// A key of a dictionary as a text: texts and integers have one.
  func keyText(_ key: PickleValue) -> String? {
    switch key {
    case .string(let text): text
    case .integer(let number): "\(number)"
    default: nil
    }
  }
}
