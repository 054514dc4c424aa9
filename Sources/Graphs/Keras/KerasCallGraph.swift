// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

/// What goes into one call of a layer: values in their order, with constants between them.
struct KerasOperands {
  enum Operand {
    case value(KerasImporter.Value)
    case constant(JSONValue)
  }

  /// Positional ones; lists are taken apart.
  var positional: [Operand]
  /// By name.
  var named: [String: Operand] = [:]

  init(_ positional: [Operand]) { self.positional = positional }

  /// The values alone, positional ones first.
  var values: [KerasImporter.Value] {
    (positional + named.sorted { $0.key < $1.key }.map(\.value)).compactMap {
      if case .value(let value) = $0 { value } else { nil }
    }
  }

  /// The constant called `name`, or at `position`; null is none.
  func constant(_ name: String, at position: Int? = nil) -> JSONValue? {
    if case .constant(let json)? = named[name] { return json == .null ? nil : json }
    if let position, positional.indices.contains(position),
      case .constant(let json) = positional[position]
    {
      return json == .null ? nil : json
    }
    return nil
  }
}

/// The calls of a functional model and what is known of their results.
struct KerasCallGraph {
  /// One call of one layer.
  struct Place: Hashable {
    let layer: String
    let call: Int
  }

  let inputs: [KerasReference]
  let outputs: [KerasReference]
  private let file: String
  private var layers: [String: KerasLayerDescription] = [:]
  private var calls: [String: [JSONValue]] = [:]
  private var results: [Place: [KerasImporter.Value]] = [:]

  init(
    _ model: KerasLayerDescription, _ all: [KerasLayerDescription], file: String
  ) throws {
    self.file = file
    for layer in all {
      guard layers.updateValue(layer, forKey: layer.name) == nil else {
        throw GraphError.notImportable(
          file: file, reason: "\(layer.displayed): two layers of one model have this name")
      }
      calls[layer.name] = layer.json["inbound_nodes"]?.elements ?? []
    }
    guard let inputs = KerasReference.list(model.settings["input_layers"]),
      let outputs = KerasReference.list(model.settings["output_layers"])
    else {
      throw GraphError.notImportable(
        file: file, reason: "\(model.displayed): its inputs or outputs are not named")
    }
    (self.inputs, self.outputs) = (inputs, outputs)
  }

  subscript(place: Place) -> [KerasImporter.Value]? {
    get { results[place] }
    set { results[place] = newValue }
  }

  mutating func set(_ values: [KerasImporter.Value], at reference: KerasReference) {
    results[reference.place] = values
  }

  /// A reference to a call that exists: a layer that is called once was called the first time.
  func resolved(_ reference: KerasReference) -> KerasReference {
    guard let count = calls[reference.layer]?.count, count <= 1, reference.call != 0,
      results[reference.place] == nil
    else { return reference }
    return KerasReference(layer: reference.layer, call: 0, output: reference.output)
  }

  func call(at place: Place) throws -> (KerasLayerDescription, KerasCall) {
    guard let layer = layers[place.layer] else {
      throw GraphError.notImportable(
        file: file,
        reason: "the result of layer '\(Printable(place.layer))' is used, which does not exist")
    }
    guard let all = calls[place.layer], all.indices.contains(place.call),
      let call = KerasCall(all[place.call])
    else {
      throw GraphError.notImportable(
        file: file, reason: "\(layer.displayed): what goes into it is not said")
    }
    return (layer, call)
  }

  func value(
    _ reference: KerasReference, for layer: KerasLayerDescription
  ) throws -> KerasImporter.Value {
    let reference = resolved(reference)
    guard let all = results[reference.place], all.indices.contains(reference.output) else {
      throw GraphError.notImportable(
        file: file,
        reason: "\(layer.displayed): result \(reference.output) of '\(Printable(reference.layer))'"
          + " does not exist")
    }
    return all[reference.output]
  }

  func operands(of call: KerasCall, _ layer: KerasLayerDescription) throws -> KerasOperands {
    var result = KerasOperands([])
    for argument in call.arguments { result.positional += try operands(argument, layer) }
    for (name, argument) in call.named {
      let all = try operands(argument, layer)
      // A list of results by name (`inputs=[a, b]`) is as one by position.
      if all.count == 1 { result.named[name] = all[0] } else { result.positional += all }
    }
    return result
  }

  private func operands(
    _ argument: KerasArgument, _ layer: KerasLayerDescription
  ) throws -> [KerasOperands.Operand] {
    switch argument {
    case .result(let reference): [.value(try value(reference, for: layer))]
    case .list(let parts): try parts.flatMap { try operands($0, layer) }
    case .constant(let json): [.constant(json)]
    }
  }
}

extension KerasReference {
  var place: KerasCallGraph.Place { KerasCallGraph.Place(layer: layer, call: call) }
}
