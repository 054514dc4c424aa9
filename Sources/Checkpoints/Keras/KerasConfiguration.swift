// SPDX-License-Identifier: Apache-2.0

/// What a Keras model's configuration says about the names and kinds of its layers.
struct KerasConfiguration {
  struct Layer {
    let name: String
    /// The names of the models around it, outermost first, and its own.
    let names: [String]
    /// In snake case: `batch_normalization`.
    let className: String
    /// Whether a normalisation has gamma; nil when it is not said.
    let hasScale: Bool?
    /// Whether a normalisation has beta; nil when it is not said.
    let hasCenter: Bool?
  }

  /// The model's name, for example `resnet50`.
  let name: String?
  /// Layers by their place in the weight file: `layers/conv2d_1`.
  private(set) var layers: [String: Layer] = [:]
  /// Position of each of them in the model.
  private(set) var order: [String: Int] = [:]
  /// What it says besides the names of layers.
  private(set) var model = KerasModel()
  /// Whether a layer norm with a name of Keras's making has been met.
  private var hasUnnamedNorm = false
  /// Whether a layer that computes features has been met.
  private var isBehindInput = false

  init(_ json: JSONValue) {
    name = json["config"]?["name"]?.text
    add(json, "", names: [], depth: 0)
    model.configuration = json
  }

  private mutating func add(_ model: JSONValue, _ path: String, names: [String], depth: Int) {
    guard depth < CheckpointLimits.hdf5Depth, let all = model.kerasLayers else { return }
    var numbers: [String: Int] = [:]
    for layer in all {
      guard let className = layer["class_name"]?.text else { continue }
      let kind = KerasConfiguration.snakeCase(className)
      let number = numbers[kind, default: 0]
      numbers[kind] = number + 1
      let place =
        (path.isEmpty ? "" : path + "/") + "layers/" + kind + (number == 0 ? "" : "_\(number)")
      let settings = layer["config"]
      readInput(kind, settings)
      readArithmetic(kind, settings)
      let own = settings?["name"]?.text ?? layer["name"]?.text ?? kind
      layers[place] = Layer(
        name: own, names: names + [own], className: kind, hasScale: flag(settings?["scale"]),
        hasCenter: flag(settings?["center"]))
      order[place] = order.count
      add(layer, place, names: names + [own], depth: depth + 1)
    }
  }

  /// Takes the side of the image and the arithmetic with pixels, which come before everything else.
  private mutating func readInput(_ kind: String, _ settings: JSONValue?) {
    guard !isBehindInput else { return }
    switch kind {
    case "input_layer" where model.inputExtent == nil:
      // None for the batch, then height, width, channels; older versions have another key.
      let shape = (settings?["batch_shape"] ?? settings?["batch_input_shape"])?.elements ?? []
      if shape.count == 4, let height = shape[1].integer, let width = shape[2].integer {
        model.inputExtent = (height, width)
      }
    case "rescaling":
      model.pixelLayers.append(
        .rescaling(
          scale: settings?["scale"]?.numbers ?? [], offset: settings?["offset"]?.numbers ?? [0]))
    case "normalization":
      model.pixelLayers.append(
        .normalization(
          layer: settings?["name"]?.text ?? kind, mean: settings?["mean"]?.numbers,
          variance: settings?["variance"]?.numbers))
    default:
      isBehindInput = ["conv2d", "separable_conv2d", "depthwise_conv2d", "dense"].contains(kind)
    }
  }

  /// Takes what no weight shows: how is pooled, where is normalised, what follows a dense layer.
  private mutating func readArithmetic(_ kind: String, _ settings: JSONValue?) {
    let name = settings?["name"]?.text ?? kind
    if kind == "layer_normalization" {
      hasUnnamedNorm = hasUnnamedNorm || name.hasPrefix(kind)
    } else if kind.hasPrefix("global_") {
      if hasUnnamedNorm { model.normalizesBeforePooling = true }
      if kind.hasPrefix("global_max") { model.poolsByMaximum = true }
    } else if kind == "dense", let activation = settings?["activation"]?.text {
      model.denseActivations[name] = activation
    }
  }

  private func flag(_ value: JSONValue?) -> Bool? {
    if case .boolean(let flag)? = value { flag } else { nil }
  }

  /// A class's name as the weight file spells it.
  ///
  /// A word begins at a capital that a small letter follows, and at a capital after a small letter.
  /// - Source: keras, src/utils/naming.py.
  static func snakeCase(_ name: String) -> String {
    let letters = Array(name.unicodeScalars.filter { $0.properties.isAlphabetic || $0.isDigit })
    var result = ""
    for (index, letter) in letters.enumerated() {
      let isCapital = ("A"..."Z").contains(letter)
      if isCapital, index > 0 {
        let next = index + 1 < letters.count ? letters[index + 1] : nil
        let beforeSmall = next.map { ("a"..."z").contains($0) } ?? false
        if beforeSmall || ("a"..."z").contains(letters[index - 1]) { result += "_" }
      }
      result.unicodeScalars.append(letter)
    }
    return result.lowercased()
  }
}

extension JSONValue {
  /// The layers of a model's configuration; nil when it is no model. Keras 1 kept a sequential model's as
  /// a plain list.
  package var kerasLayers: [JSONValue]? {
    self["config"]?["layers"]?.elements
      ?? (self["class_name"]?.text == "Sequential" ? self["config"]?.elements : nil)
  }

  /// A number or a list of numbers, however deep (a mean may be stored with axes of one element).
  fileprivate var numbers: [Double]? {
    switch self {
    case .integer(let number): return [Double(number)]
    case .number(let number): return [number]
    case .array(let all):
      let parts = all.map(\.numbers)
      return parts.contains { $0 == nil } ? nil : parts.flatMap { $0 ?? [] }
    default: return nil
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isDigit: Bool { ("0"..."9").contains(self) }
}
