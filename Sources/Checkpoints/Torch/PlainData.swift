// SPDX-License-Identifier: Apache-2.0

/// What a pickle holds beside its tensors, as far as it is plain data: texts, numbers, lists,
/// mappings, and the attributes of placeholders.
struct PlainData {
  private let arena: PickleArena
  private var left: Int

  /// Values that are taken at most.
  private static let values = 50_000
  private static let depth = 7

  init(_ arena: PickleArena) {
    self.arena = arena
    left = PlainData.values
  }

  /// The value, with null where it is something else. Objects' members are unique; a list that is too
  /// long or too deep is left out.
  mutating func json(_ value: PickleValue, depth: Int = 0) -> JSONValue {
    left -= 1
    guard left > 0, depth < PlainData.depth else { return .null }
    switch value {
    case .boolean(let flag): return .boolean(flag)
    case .integer(let number): return .integer(number)
    case .float(let number): return number.isFinite ? .number(number) : .null
    case .string(let text): return text.utf8.count <= 4096 ? .string(text) : .null
    case .tuple, .list:
      let elements = arena.elements(value) ?? []
      guard elements.count < left else { return .null }
      return .array(elements.map { json($0, depth: depth + 1) })
    case .dictionary(let index): return json(arena.dictionaries[index], depth)
    case .object(let index): return json(arena.objects[index], depth)
    default: return .null
    }
  }

  private mutating func json(_ object: PickleObject, _ depth: Int) -> JSONValue {
    // A list with a class of its own is a list, a dictionary a dictionary.
    if !object.elements.isEmpty {
      guard object.elements.count < left else { return .null }
      return .array(object.elements.map { json($0, depth: depth + 1) })
    }
    if !object.entries.entries.isEmpty { return json(object.entries, depth) }
    return arena.attributes(of: object).map { json($0, depth) } ?? .null
  }

  private mutating func json(_ dictionary: PickleDictionary, _ depth: Int) -> JSONValue {
    // What an optimizer and a module remember is no description of the network.
    guard dictionary["param_groups"] == nil, dictionary["_parameters"] == nil,
      dictionary.entries.count < left
    else { return .null }
    var members: [JSONMember] = []
    var names: Set<String> = []
    for entry in dictionary.entries {
      guard let name = arena.keyText(entry.key), names.insert(name).inserted else { continue }
      if case .tensor = entry.value { continue }
      members.append(JSONMember(name, json(entry.value, depth: depth + 1)))
    }
    return .object(members)
  }
}
