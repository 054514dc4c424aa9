// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

/// A result of another layer, as a configuration names it.
struct KerasReference: Hashable {
  let layer: String
  /// Which of the layer's calls.
  let call: Int
  /// Which of that call's results.
  let output: Int

  init(layer: String, call: Int, output: Int) {
    self.layer = layer
    self.call = call
    self.output = output
  }

  /// `["conv1", 0, 0]`, with or without something behind it; nil for anything else.
  init?(_ json: JSONValue) {
    guard let parts = json.elements, parts.count >= 3, let layer = parts[0].text,
      let call = parts[1].integer, let output = parts[2].integer
    else { return nil }
    self.init(layer: layer, call: call, output: output)
  }

  /// The references in a list of them, or in a single one; nil when there is anything else.
  static func list(_ json: JSONValue?) -> [KerasReference]? {
    guard let json else { return nil }
    if let only = KerasReference(json) { return [only] }
    let parts: [JSONValue]
    switch json {
    case .array(let all): parts = all
    case .object(let members): parts = members.map(\.value)
    default: return nil
    }
    let references = parts.compactMap { KerasReference($0) }
    return references.count == parts.count && !parts.isEmpty ? references : nil
  }
}

/// What a layer is called with.
indirect enum KerasArgument {
  case result(KerasReference)
  case list([KerasArgument])
  case constant(JSONValue)

  /// The results in it, in order.
  var references: [KerasReference] {
    switch self {
    case .result(let reference): [reference]
    case .list(let parts): parts.flatMap(\.references)
    case .constant: []
    }
  }

  /// As Keras 3 writes it: results are objects of the class `__keras_tensor__`.
  init(_ json: JSONValue) {
    if json["class_name"]?.text == "__keras_tensor__",
      let history = json["config"]?["keras_history"], let reference = KerasReference(history)
    {
      self = .result(reference)
      return
    }
    guard let parts = json.elements else {
      self = .constant(json)
      return
    }
    let all = parts.map { KerasArgument($0) }
    self = all.contains { !$0.references.isEmpty } ? .list(all) : .constant(json)
  }

  /// As Keras 2 writes it among the settings of a call: results are lists.
  init(legacy json: JSONValue) {
    if let reference = KerasReference(json) {
      self = .result(reference)
    } else if let parts = json.elements, parts.contains(where: { KerasReference($0) != nil }) {
      self = .list(parts.map { KerasArgument(legacy: $0) })
    } else {
      self = .constant(json)
    }
  }
}

/// One call of a layer.
struct KerasCall {
  private(set) var arguments: [KerasArgument] = []
  private(set) var named: [String: KerasArgument] = [:]

  /// The results it needs.
  var references: [KerasReference] {
    arguments.flatMap(\.references)
      + named.sorted { $0.key < $1.key }.flatMap { $0.value.references }
  }

  /// Reads one entry of `inbound_nodes`; nil when it is none.
  init?(_ json: JSONValue) {
    switch json {
    case .object:
      arguments = (json["args"]?.elements ?? []).map { KerasArgument($0) }
      if case .object(let members)? = json["kwargs"] {
        for member in members { named[member.name] = KerasArgument(member.value) }
      }
    case .array(let parts):
      // One result, or a list of them; settings are behind each.
      let inputs = parts.first?.text == nil ? parts : [json]
      var read: [KerasArgument] = []
      for input in inputs {
        guard let fields = input.elements, fields.count >= 3 else { return nil }
        if fields[0].text == "_CONSTANT_VALUE" {
          read.append(.constant(fields[2]))
        } else {
          guard let reference = KerasReference(input) else { return nil }
          read.append(.result(reference))
        }
        if fields.count > 3, case .object(let members) = fields[3] {
          for member in members { named[member.name] = KerasArgument(legacy: member.value) }
        }
      }
      arguments = read.count == 1 ? read : [.list(read)]
    default: return nil
    }
  }

  /// Whether it says that the layer works as in training.
  var isTraining: Bool {
    if case .constant(.boolean(true))? = named["training"] { true } else { false }
  }
}
