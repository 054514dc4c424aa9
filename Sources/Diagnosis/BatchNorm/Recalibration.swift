// SPDX-License-Identifier: Apache-2.0

import Execution
public import Network
import Tensors

/// Running statistics computed anew from data, without gradients.
///
/// Layer by layer, the statistics a batch norm should have are the moments of its input over all
/// photos when every layer before it is normalised by its own such statistics. That is the fixed
/// point of: run with the statistics at hand, take the moments, put them in their place. A layer's
/// input depends on earlier layers only, so after k rounds the first k layers are exact, whatever the
/// start; from the moments of mixed batches a round or two reach rounding everywhere.
public struct Recalibration: Sendable {
  /// The parameters with the new statistics.
  public let parameters: Parameters
  /// Rounds over the photos.
  public let rounds: Int
  /// How far the last round still moved a statistic: the largest over layers of the median channel's
  /// divergence, in nats.
  public let residual: Double

  /// Recalibrates batch norms of `network` on `photos`; the network keeps its parameters.
  ///
  /// - Parameters:
  ///   - only: the layers to recalibrate; nil for all.
  ///   - tolerance: of the residual, in nats.
  ///   - check: called after each batch; stops by throwing.
  public init(
    _ network: PhasedNetwork, on photos: LabelledTensors, only: Set<ParameterPath>? = nil,
    batch: Int, seed: UInt64, tolerance: Double = 1e-4, maximumRounds: Int = 4,
    check: (Int) throws -> Void = { _ in }
  ) throws {
    let original = network.parameters
    defer { try? network.importParameters(original) }
    let layers = network.layers.filter { only?.contains($0.path) ?? true }
    var (current, residual, rounds) = (original, Double.infinity, 0)
    while rounds < maximumRounds && residual > tolerance {
      // The first round normalises by mixed batches: close to the goal wherever it starts.
      let selection: BatchNormInspection.Selection =
        rounds > 0 ? .none : only.map { .only($0) } ?? .all
      try network.importParameters(current)
      let output = try network.run(
        photos, batchStatistics: selection, batch: batch, seed: seed, check: check)
      residual = 0
      for layer in layers {
        guard let moments = output.moments[layer.path] else { continue }
        let shift = try LayerShift(moments, of: layer, in: current)
        residual = max(residual, shift.divergence)
        let factor = layer.normalization.runningVarianceCorrection.factor(count: moments.count)
        current[layer.path.appending("running_mean")] = Tensor(
          moments.mean.map(Float.init), shape: [moments.mean.count])
        current[layer.path.appending("running_var")] = Tensor(
          moments.variance.map { Float($0 * factor) }, shape: [moments.variance.count])
      }
      rounds += 1
    }
    self.parameters = current
    self.rounds = rounds
    self.residual = residual
  }
}
