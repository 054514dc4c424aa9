// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Which tensors beside a network change what it answers: those on the way from its features to the
/// logits, those that pool the features, and those that stand before its first layer.
///
/// Tensors say where they are by their names and how much they pass on by their shapes. What is left may
/// be ignored: a loss, a queue, statistics of a training.
struct HeadSurroundings {
  /// Names of the classifier's dense layers, each with the full stop behind it: `fc.1.`.
  var layers: [String] = []
  /// Whether these lie beside the part that the network's tensors are in.
  var isBesidePart = false
  /// How many numbers pass between the features and the last layer.
  var widths: Set<Int> = []

  /// Whether `tensor` belongs to what is computed.
  func holds(_ tensor: StoredTensor) -> Bool {
    if layers.contains(where: { tensor.name.hasPrefix(HeadSurroundings.home(of: $0)) }) {
      return true
    }
    let parts = tensor.name.split(separator: ".")
    guard parts.count <= 3, !NetworkPart.isAverage(tensor.name),
      !WeightMatching.isStranger(tensor.name)
    else { return false }
    return poolsFeatures(parts) || isBetween(tensor) || isInFront(tensor, parts)
  }

  /// What a layer lies in: of `head.1.` all of `head.`, of `fc.` the layer itself.
  private static func home(of layer: String) -> String {
    let parts = layer.split(separator: ".")
    return parts.count < 2 ? layer : parts.dropLast().map { $0 + "." }.joined()
  }

  /// A pooling with parameters, such as a generalised mean.
  private func poolsFeatures(_ parts: [Substring]) -> Bool {
    let pools: Set = [
      "avgpool", "global_pool", "pool", "pooling", "gem", "adaptive_pool", "maxpool",
    ]
    return parts.dropLast().contains { pools.contains($0.lowercased()) }
  }

  /// A norm or a scale of the features, or a dense layer that reads them before the classifier.
  private func isBetween(_ tensor: StoredTensor) -> Bool {
    let shape = tensor.shape
    if shape.rank == 1 { return widths.contains(shape[0]) }
    return isBesidePart && shape.rank == 2 && widths.contains(shape[1])
  }

  /// A convolution or a batch norm of the three channels of a photo.
  private func isInFront(_ tensor: StoredTensor, _ parts: [Substring]) -> Bool {
    let shape = tensor.shape
    if shape.rank == 4 { return shape[0] == 3 && (1...4).contains(shape[1]) }
    return shape == [3] && ["running_mean", "running_var"].contains(parts.last)
  }
}
