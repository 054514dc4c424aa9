// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawOneDNN

/// What a gradient check found, in the order of the backward pass.
package struct GradientReport: Sendable, Equatable, Codable {
  /// One parameter.
  package struct Layer: Sendable, Equatable, Codable {
    /// The layer.
    package let path: String
    /// Which of its parameters, for example `weight`.
    package let parameter: String
    /// Number of elements.
    package let elements: Int
    /// Slopes that were compared: along directions that touch all elements, and in single elements.
    package let probes: Int
    /// Probes that began right at a kink of a relu or a maximum, where there is no slope to compare.
    package let kinks: Int
    /// Worst disagreement of the backward pass with central differences, both in Double; nil when
    /// every probe began at a kink.
    package let relativeError: Double?
    /// Disagreement of the engine's gradient (Float) with the one in Double, as the norm of the
    /// difference over the norm; nil when no engine was compared.
    package let engineError: Double?
  }

  /// How to read the numbers.
  package enum Verdict: String, Sendable, Codable {
    /// Every gradient is right.
    case right
    /// Some gradient is wrong.
    case wrong
  }

  /// Architecture.
  package let network: String
  /// The engine whose gradients were compared; nil for none.
  package let engine: String?
  /// Side of the images, in pixels.
  package let size: Int
  /// How many images there were.
  package let batch: Int
  /// Mode of the batch norms in frozen groups.
  package let frozenBatchNorm: String
  /// Mode of the batch norms in groups that train.
  package let trainableBatchNorm: String
  /// From the output to the input.
  package let layers: [Layer]
  /// The largest relative error against central differences.
  package let worstRelativeError: Double?
  /// The largest relative error of the engine against the Double reference.
  package let worstEngineError: Double?
  /// The first wrong layer in the direction of the backward pass; nil when all are right.
  package let firstWrongLayer: String?
  /// Whether all is right.
  package let verdict: Verdict
  /// What it means and what to do.
  package let recommendation: String

  /// Above this a gradient in Double is wrong: right ones agree to about 1e-7.
  package static let tolerance = 1e-4
  /// Above this an engine's gradient is wrong: Float sums agree to about 1e-5.
  package static let engineTolerance = 2e-3

  init(
    _ check: GradientDiagnosis, network: String, engine: String?, plan: FreezePlan, size: Int,
    layers: [Layer]
  ) {
    self.network = network
    self.engine = engine
    self.size = size
    batch = check.batch
    frozenBatchNorm = plan.frozenBatchNorm.rawValue
    trainableBatchNorm = plan.trainableBatchNorm.rawValue
    self.layers = layers
    worstRelativeError = layers.compactMap(\.relativeError).max()
    worstEngineError = layers.compactMap(\.engineError).max()
    let wrong = layers.firstIndex { $0.isWrong }
    firstWrongLayer = wrong.map { layers[$0].path }
    verdict = wrong == nil ? .right : .wrong
    recommendation =
      wrong.map { GradientReport.explanation(of: $0, in: layers) }
      ?? GradientReport.praise(layers)
  }

  private static func praise(_ layers: [Layer]) -> String {
    let kinks = layers.reduce(0) { $0 + $1.kinks }
    let unprobed = layers.count { $0.relativeError == nil }
    var text = "Every gradient is right; look elsewhere."
    if kinks > 0 {
      text += " \(kinks) probes began at a kink of a relu or a maximum and were left out"
      text += unprobed > 0 ? ", all of those of \(unprobed) parameters." : "."
    }
    return text
  }

  private static func explanation(of index: Int, in layers: [Layer]) -> String {
    let layer = layers[index]
    let name = "'\(layer.path)' (\(layer.parameter))"
    let isBackward = (layer.relativeError ?? 0) > tolerance
    let what =
      isBackward
      ? "the backward pass of \(name) disagrees with the slope of the loss"
      : "the engine's gradient of \(name) disagrees with the reference in Double"
    let behind = layers[..<index].last { $0.path != layer.path }?.path
    let place =
      behind.map {
        "All layers behind it, from '\($0)' to the output, are right: the mistake is in"
          + " '\(layer.path)' or in what lies between the two."
      }
      ?? "It is the last layer with parameters: the mistake is there, behind it, or in the loss."
    let next =
      isBackward
      ? "Do not trust a training of this network."
      : "Train with --engine reference until that is mended."
    return "\(what.prefix(1).uppercased() + what.dropFirst()). \(place) \(next)"
  }
}

extension GradientReport.Layer {
  /// Whether one of its errors is too large.
  package var isWrong: Bool {
    (relativeError ?? 0) > GradientReport.tolerance
      || (engineError ?? 0) > GradientReport.engineTolerance
  }
}
