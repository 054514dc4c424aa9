// SPDX-License-Identifier: Apache-2.0

/// What the configuration in a Keras file says of the model besides the names of its layers.
package struct KerasModel: Sendable {
  /// A layer that scales and shifts the values of each channel before the first layer that computes
  /// features: preprocessing that became part of the model.
  package enum PixelLayer: Sendable, Hashable {
    /// x * scale + offset; one number, or one a channel.
    case rescaling(scale: [Double], offset: [Double])
    /// (x - mean) / sqrt(variance), one number a channel; nil when they were learned, then they are
    /// the layer's variables `mean` and `variance`.
    case normalization(layer: String, mean: [Double]?, variance: [Double]?)
  }

  /// Height and width of the images; nil when they are free or not said.
  package internal(set) var inputExtent: (height: Int, width: Int)?
  /// Arithmetic with pixels, in its order.
  package internal(set) var pixelLayers: [PixelLayer] = []
  /// Whether a layer norm that was given no name comes before a global pooling.
  package var normalizesBeforePooling = false
  /// Whether a global pooling takes the maximum.
  package var poolsByMaximum = false
  /// Activations of dense layers by the layer's name: `relu`.
  package var denseActivations: [String: String] = [:]

  /// The whole configuration: the model's class, its layers and how they are connected. Code in it
  /// (lambdas, classes of the author's) is text here and is never run.
  package var configuration: JSONValue?
  /// What the model was compiled with, its loss among it; nil when the file does not say.
  package var compilation: JSONValue?
  /// The model's own name; nil when the configuration has none.
  package var modelName: String? { configuration?["config"]?["name"]?.text }
  /// Where the variables of each layer are.
  package var weights = KerasWeights()

  init() {}

  /// A description made by hand, for tests.
  package init(configuration: JSONValue, weights: KerasWeights) {
    self.configuration = configuration
    self.weights = weights
  }

  /// A description made by hand, for tests.
  package init(inputExtent: (height: Int, width: Int)?, pixelLayers: [PixelLayer]) {
    self.inputExtent = inputExtent
    self.pixelLayers = pixelLayers
  }
}
