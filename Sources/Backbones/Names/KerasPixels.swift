// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawImages
import ThawTensors

/// The preprocessing that a Keras model has made part of itself: rescaling and normalisation before the
/// first convolution, and the side of its input.
///
/// Keras's EfficientNets do it, and so does everybody who follows its guide to transfer learning. When a
/// file says it, the file is believed and not what is usual.
struct KerasPixels {
  /// How photos must be prepared, the model's own arithmetic included.
  let preprocessing: Preprocessing
  /// What was read from the file, for people.
  let reason: String

  /// - Parameter usual: geometry, and the numbers when the model has no such layers.
  /// - Returns: nil when the file says nothing about the input.
  /// - Throws: `CheckpointError` when the variables cannot be read.
  init?(
    _ checkpoint: Checkpoint, architecture: String, usual: Preprocessing
  ) throws(CheckpointError) {
    let model = checkpoint.kerasModel
    var layers = model?.pixelLayers ?? []
    let isBare = model == nil
    if isBare, architecture.hasPrefix("efficientnet_b"), architecture.hasSuffix("_keras") {
      layers = try KerasPixels.efficientNet(checkpoint)
    }
    var scale = [1.0, 1.0, 1.0]
    var offset = [0.0, 0.0, 0.0]
    for layer in layers {
      guard let step = try KerasPixels.step(layer, checkpoint) else { return nil }
      for channel in 0..<3 {
        scale[channel] *= step.scale[channel]
        offset[channel] = offset[channel] * step.scale[channel] + step.offset[channel]
      }
    }
    var contract = usual
    var parts: [String] = []
    if let extent = model?.inputExtent, extent.height == extent.width,
      extent.width != usual.inputSize
    {
      contract = contract.withInputSize(extent.width)
      parts.append("the side of its input")
    }
    if !layers.isEmpty, let values = KerasPixels.contract(scale, offset, size: usual.inputSize) {
      contract = contract.withValues(of: values)
      parts.append(
        isBare ? "its normalization layer's variables" : "its layers before the first convolution")
    }
    guard !parts.isEmpty else { return nil }
    preprocessing = contract
    reason = "from \(parts.joined(separator: " and ")); how photos are resized it does not say"
  }

  /// x * scale + offset as a contract; nil when it is none (a scale that is not positive).
  private static func contract(
    _ scale: [Double], _ offset: [Double], size: Int
  ) -> Preprocessing? {
    let numbers = scale + offset
    guard numbers.allSatisfy(\.isFinite), scale.allSatisfy({ $0 > 0 }) else { return nil }
    // (x * s - mean) / std with s = 1/255, or what all channels share.
    let isShared = scale.allSatisfy { $0 == scale[0] }
    let common = isShared ? scale[0] : 1.0 / 255
    return Preprocessing(
      inputSize: size, scale: common, mean: zip(scale, offset).map { -$1 * common / $0 },
      std: scale.map { common / $0 })
  }

  /// A layer as x * scale + offset for three channels; nil when it is something else.
  private static func step(
    _ layer: KerasModel.PixelLayer, _ checkpoint: Checkpoint
  ) throws(CheckpointError) -> (scale: [Double], offset: [Double])? {
    switch layer {
    case .rescaling(let scale, let offset):
      guard let scale = three(scale), let offset = three(offset) else { return nil }
      return (scale, offset)
    case .normalization(let name, let mean, let variance):
      let means: [Double]?
      let variances: [Double]?
      if let mean, let variance {
        (means, variances) = (three(mean), three(variance))
      } else {
        means = three(try values(name + "/mean", checkpoint))
        variances = three(try values(name + "/variance", checkpoint))
      }
      guard let means, let variances else { return nil }
      // Keras divides by 1e-7 at least.
      let scales = variances.map { 1 / max($0.squareRoot(), 1e-7) }
      return (scales, zip(means, scales).map { -$0 * $1 })
    }
  }

  private static func values(
    _ name: String, _ checkpoint: Checkpoint
  ) throws(CheckpointError) -> [Double] {
    guard let tensor = checkpoint[name], tensor.shape.count == 3 else { return [] }
    return try tensor.floats().elements.map(Double.init)
  }

  private static func three(_ numbers: [Double]) -> [Double]? {
    numbers.count == 1 ? [numbers[0], numbers[0], numbers[0]] : numbers.count == 3 ? numbers : nil
  }

  /// The layers of Keras's EfficientNets, for files that have weights only.
  ///
  /// The published weights hold the standard deviation where the variance belongs, and the model that
  /// loads them divides by its square root once more.
  ///
  /// - Source: keras, src/applications/efficientnet.py.
  private static func efficientNet(
    _ checkpoint: Checkpoint
  ) throws(CheckpointError) -> [KerasModel.PixelLayer] {
    let ending = "/variance"
    guard
      let name = checkpoint.names.first(where: {
        $0.hasSuffix(ending) && KerasNames.isPreprocessing($0)
      })
    else { return [] }
    let layer = String(name.dropLast(ending.count))
    var layers: [KerasModel.PixelLayer] = [
      .rescaling(scale: [1.0 / 255], offset: [0]),
      .normalization(layer: layer, mean: nil, variance: nil),
    ]
    let deviations = [0.229, 0.224, 0.225]
    let variances = try values(name, checkpoint)
    if variances.count == 3, zip(variances, deviations).allSatisfy({ abs($0 - $1) < 1e-4 }) {
      layers.append(.rescaling(scale: deviations.map { 1 / $0.squareRoot() }, offset: [0]))
    }
    return layers
  }
}
