// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawOneDNN
import ThawTensors

/// Running statistics computed anew from data, without gradients.
///
/// Of all layers, the moments of a pass on batch statistics serve: what cumulative averages (PyTorch's
/// `momentum=None`) collect. Of single layers among others that keep theirs they do not. The statistics a batch norm should have are the moments of its input over all photos when every
/// layer before it is normalised by its own such statistics. So the layers are taken in order of
/// computation, and each is measured behind layers that are finished: exact in one sweep, for any
/// number of photos. (Measuring all layers at once and repeating that is not the same: errors of early
/// layers grow with the depth for many rounds before they vanish.)
package struct Recalibration: Sendable {
  /// The parameters with the new statistics.
  package let parameters: Parameters

  /// Gives every batch norm of `network` the `moments` of its input in a pass on batch statistics.
  package init(_ network: PhasedNetwork, moments: [ParameterPath: ChannelMoments]) {
    var current = network.parameters
    for layer in network.layers {
      guard let moments = moments[layer.path] else { continue }
      Recalibration.set(layer, to: moments, in: &current)
    }
    parameters = current
  }

  private static func set(
    _ layer: PhasedNetwork.Layer, to moments: ChannelMoments, in parameters: inout Parameters
  ) {
    let factor = layer.normalization.runningVarianceCorrection.factor(count: moments.count)
    parameters[layer.path.appending("running_mean")] = Tensor(
      moments.mean.map(Float.init), shape: [moments.mean.count])
    parameters[layer.path.appending("running_var")] = Tensor(
      moments.variance.map { Float($0 * factor) }, shape: [moments.variance.count])
  }

  /// Recalibrates batch norms of `network` on `photos`; the network keeps its parameters.
  ///
  /// Holds one intermediate result of all photos in memory.
  ///
  /// - Parameters:
  ///   - only: the layers to recalibrate; nil for all.
  ///   - batch: photos in a pass; the result does not depend on it but for rounding.
  ///   - check: called after each layer with the number done; stops by throwing.
  package init(
    _ network: PhasedNetwork, on photos: LabelledTensors, only: Set<ParameterPath>? = nil,
    batch: Int, seed: UInt64, check: (Int) throws -> Void = { _ in }
  ) throws {
    let original = network.parameters
    defer { try? network.importParameters(original) }
    var current = original
    var values = photos.batches(of: batch, seed: seed).map { photos.copy($0) }
    var done = 0
    for piece in 0..<network.pieceCount {
      for layer in network.layers
      where layer.piece == piece && only?.contains(layer.path) ?? true {
        let inspection = BatchNormInspection(batchStatistics: .none)
        for value in values { _ = try network.run(piece, value, inspection) }
        guard let moments = inspection.moments[layer.path] else { continue }
        Recalibration.set(layer, to: moments, in: &current)
        try network.importParameters(current, piece: piece)
        done += 1
        try check(done)
      }
      let inspection = BatchNormInspection(batchStatistics: .none)
      values = try values.map { try network.run(piece, $0, inspection) }
    }
    parameters = current
  }
}
