// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// A layer as a configuration describes it.
struct KerasLayerDescription {
  /// For example `Conv2D`.
  let className: String
  /// The names of the models around it, outermost first, and its own.
  let names: [String]
  /// All that stands there.
  let json: JSONValue
  /// Its arguments.
  let settings: JSONValue

  /// - Parameter outer: the names of the models around it.
  init?(_ json: JSONValue, in outer: [String]) {
    guard let className = json["class_name"]?.text else { return nil }
    self.className = className
    self.json = json
    settings = json["config"] ?? .object([])
    let own = settings["name"]?.text ?? json["name"]?.text
    names = outer + [own ?? className]
  }

  var name: String { names.last ?? className }
  /// For messages: `layer 'base/conv1' (Conv2D)`.
  var displayed: String {
    "layer '\(Printable(names.joined(separator: "/")))' (\(Printable(className)))"
  }
  /// The layers, when it is a model; nil otherwise.
  var layers: [JSONValue]? { json.kerasLayers }
  var isSequential: Bool { className == "Sequential" || settings["input_layers"] == nil }
  /// Whether its class is one of Keras's own.
  var isOfKeras: Bool {
    guard let module = json["module"]?.text else {
      // Earlier versions name a class of somebody's own `package>class`.
      return !className.contains(">")
    }
    return module.hasPrefix("keras") || module.hasPrefix("tf_keras")
      || module.hasPrefix("tensorflow")
  }

  subscript(key: String) -> JSONValue? {
    guard let value = settings[key], value != .null else { return nil }
    return value
  }

  func flag(_ key: String, default standard: Bool) -> Bool {
    if case .boolean(let flag)? = settings[key] { flag } else { standard }
  }

  /// Two integers from 1 to 4096, height first; one number stands for both. Nil for anything else.
  func pair(_ key: String) -> Extent2D? {
    guard let value = self[key] else { return nil }
    let numbers = value.integer.map { [$0, $0] } ?? value.integers ?? []
    guard numbers.count == 2, numbers.allSatisfy((1...4096).contains) else { return nil }
    return Extent2D(height: numbers[0], width: numbers[1])
  }

  /// The extents of the image it says it takes, from height to channels; nil for a size that is free.
  var imageShape: [Int?]? {
    let shape = (self["batch_shape"] ?? self["batch_input_shape"])?.elements
    guard let shape, shape.count == 4 else { return nil }
    return shape.dropFirst().map(\.integer)
  }
}

extension JSONValue {
  /// All numbers in it in their order, however deep the lists are; an array or a tensor that Keras 3
  /// wrote is its `value`. Nil when there is anything else.
  var kerasNumbers: [Double]? {
    if let double { return [double] }
    if case .object = self { return self["config"]?["value"]?.kerasNumbers }
    guard let elements else { return nil }
    var result: [Double] = []
    for element in elements {
      guard let part = element.kerasNumbers, result.count + part.count <= 4096 else { return nil }
      result += part
    }
    return result
  }

  /// Whether its numbers lie along its last dimension, as those of channels do: one alone, or one list
  /// however deep.
  var isOfChannels: Bool {
    if case .object = self { return self["config"]?["value"]?.isOfChannels ?? true }
    guard let elements, let first = elements.first else { return true }
    guard first.elements != nil else { return true }
    return elements.count == 1 && first.isOfChannels
  }
}
