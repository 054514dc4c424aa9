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

  init() {}

  /// A description made by hand, for tests.
  package init(inputExtent: (height: Int, width: Int)?, pixelLayers: [PixelLayer]) {
    self.inputExtent = inputExtent
    self.pixelLayers = pixelLayers
  }
}
