// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

extension KerasImporter {
  /// What a model ends with.
  struct Ending {
    /// What makes probabilities of the outputs; nil when the model ends with features.
    var activation: OutputActivation?
    /// Outputs.
    var count: Int
  }

  /// Makes the one result the output of the draft, without the softmax or sigmoid at its end.
  mutating func finish(
    _ results: [Value], _ model: KerasLayerDescription, loss: KerasLoss
  ) throws -> Ending {
    guard let result = results.first, results.count == 1 else {
      let names = KerasReference.list(model.settings["output_layers"])?.map(\.layer) ?? []
      let shown = names.map { "'\(Printable($0))'" }.joined(separator: ", ")
      throw failure(
        "the model has \(results.count) outputs, \(shown); a classifier has one. Save the one that"
          + " classifies: keras.Model(model.input,"
          + " model.get_layer(\"\(Printable(names.first ?? "name"))\").output).save(\"one.keras\")")
    }
    switch result {
    case .pixels:
      throw failure("the model computes nothing with the photo but its preparation")
    case .probabilities(let image):
      try checkClasses(image)
      let outputs = try output(image)
      guard outputs > 1 else {
        throw failure(
          "the model ends with a softmax over a single output, which is always 1. Its last layer"
            + " should have had activation=\"sigmoid\"")
      }
      return Ending(activation: .softmax, count: outputs)
    case .image(let image): return try plainEnding(image, loss)
    }
  }

  /// A model that ends without a softmax: a sigmoid, logits, or features.
  private mutating func plainEnding(_ image: Image, _ loss: KerasLoss) throws -> Ending {
    var image = image
    if case .activation(.sigmoid) = draft[image.layer].operation {
      image.layer = draft[image.layer].inputs[0]
      try checkClasses(image)
      let outputs = try output(image)
      return Ending(
        activation: outputs == 1 ? .singleSigmoid : .independentSigmoids, count: outputs)
    }
    let ends = isClassifier(image.layer)
    if ends { try checkClasses(image) }
    let outputs = try output(image)
    guard ends else { return Ending(activation: nil, count: outputs) }
    switch loss {
    case .number(let name):
      throw failure(
        "the model was trained to predict numbers (loss \(Printable(name))), not classes")
    case .classes where outputs > 1: return Ending(activation: .softmax, count: outputs)
    case .labels(let isOfLogits):
      if !isOfLogits {
        notes.append(
          "the last layer has no activation, but the loss reads its outputs as probabilities"
            + " (from_logits is not set): Keras answers with the outputs as they are. Here the sigmoid"
            + " of an output is taken for the probability; if the model was trained so, outputs of 0 to"
            + " 1 are it already and give other numbers here. Set activation=\"sigmoid\" or"
            + " from_logits=True in Keras and save again to be certain")
      }
      return Ending(
        activation: outputs == 1 ? .singleSigmoid : .independentSigmoids, count: outputs)
    default:
      notes.append(
        "the last layer has no activation and the file does not say the loss: its"
          + (outputs == 1
            ? " output is taken for a logit, of which the sigmoid is the second class's probability"
            : " \(outputs) outputs are taken for logits, of which a softmax makes probabilities"))
      return Ending(activation: outputs == 1 ? .singleSigmoid : .softmax, count: outputs)
    }
  }

  /// Refuses outputs that are not one for each class, in the order of the classes.
  private func checkClasses(_ image: Image) throws {
    let shape = shape(image)
    if shape.rank == 4, shape[2] * shape[3] > 1 {
      throw failure(
        "the model ends with an image of \(shape[2]) x \(shape[3]) pixels and \(shape[1]) numbers"
          + " each, as of a network that segments; a classifier ends with one number for each class"
      )
    }
    if let grid = image.grid {
      throw failure(
        "the model ends with an image of \(grid[2]) x \(grid[3]) pixels that was flattened, whose order"
          + " is not kept here. Put a Dense layer behind it, or pool it to one pixel")
    }
  }

  /// Makes `image` the output, as a row; returns its length.
  private mutating func output(_ image: Image) throws -> Int {
    var layer = image.layer
    guard image.padding == nil else {
      throw failure("the model ends with zeros padded around an image")
    }
    if draft[layer].shape.rank == 4 { layer = try draft.add("flatten", .flatten, [layer]) }
    draft.output = layer
    draft.prune()
    return draft[draft.output].shape[1]
  }

  /// Whether the last thing with weights is a dense layer or a convolution that only pooling and
  /// flattening follow, and it has no activation.
  private func isClassifier(_ output: Int) -> Bool {
    var index = output
    while true {
      switch draft[index].operation {
      case .dense: return true
      // A convolution in the place of the dense layer: pooled behind, or on a single pixel.
      case .convolution: return true
      case .flatten, .dropout, .globalAveragePooling: index = draft[index].inputs[0]
      default: return false
      }
    }
  }
}

/// What the loss that a model was compiled with says about its outputs.
enum KerasLoss: Equatable {
  /// One class of several.
  case classes
  /// A question for each output; whether the loss itself applies the sigmoid.
  case labels(isOfLogits: Bool)
  /// No class at all; the loss's name.
  case number(String)
  case unknown

  init(_ compilation: JSONValue?) {
    let loss = compilation?["loss"]
    let name = loss?.text ?? loss?["class_name"]?.text ?? loss?["config"]?.text ?? ""
    let plain = name.lowercased().filter { $0 != "_" }
    if plain.contains("categoricalcrossentropy") || plain.contains("categoricalfocal") {
      self = .classes
    } else if plain.contains("binary") {
      self = .labels(isOfLogits: loss?["config"]?["from_logits"] == .boolean(true))
    } else if plain.hasPrefix("mean") || ["mse", "mae", "huber", "logcosh"].contains(plain) {
      self = .number(name)
    } else {
      self = .unknown
    }
  }
}
