// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawOneDNN
import ThawTensors

/// Running statistics computed anew from data, without gradients.
///
/// Of all layers, the moments of a pass on batch statistics serve: what cumulative averages (PyTorch's
/// `momentum=None`) collect. Of single layers among others that keep theirs they do not. The statistics
/// a batch norm should have are the moments of its input over all photos when every layer before it is
/// normalised by its own such statistics. So the layers are taken in order of computation, and each is
/// measured behind layers that are finished: exact in one sweep, for any number of photos. (Measuring
/// all layers at once and repeating that is not the same: errors of early layers grow with the depth for
/// many rounds before they vanish.)
///
/// Few photos give statistics that err themselves. Mixed with the running ones, which then count for
/// ``photosOfPrior`` photos, they err less, unless those were worth nothing.
///
/// - Source: Schneider et al. 2020, arXiv:2006.16971, for the mixture by sample size.
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

  /// How many photos running statistics count for in a mixture.
  package static let photosOfPrior = 128

  /// Of more photos than this no mixture is worth its time: every layer is measured behind those before
  /// it.
  package static let fewPhotos = 160

  /// What the data of `count` photos count for in a mixture, 0 to 1.
  package static func share(of count: Int) -> Double {
    Double(count) / Double(count + photosOfPrior)
  }

  private static func set(
    _ layer: PhasedNetwork.Layer, to moments: ChannelMoments, share: Double = 1,
    in parameters: inout Parameters
  ) {
    let factor = layer.normalization.runningVarianceCorrection.factor(count: moments.count)
    func write(_ name: String, _ data: [Double]) {
      let path = layer.path.appending(name)
      let running = parameters[path]?.elements ?? data.map(Float.init)
      parameters[path] = Tensor(
        zip(running, data).map { Float((1 - share) * Double($0) + share * $1) },
        shape: [data.count])
    }
    write("running_mean", moments.mean)
    write("running_var", moments.variance.map { $0 * factor })
  }

  /// Recalibrates batch norms of `network` on `photos`; the network keeps its parameters.
  ///
  /// Holds one intermediate result of all photos in memory.
  ///
  /// - Parameters:
  ///   - only: the layers to recalibrate; nil for all.
  ///   - share: what the data count for, the running statistics for the rest.
  ///   - batch: photos in a pass; the result does not depend on it but for rounding.
  ///   - check: called after each layer with the number done; stops by throwing.
  package init(
    _ network: PhasedNetwork, on photos: LabelledTensors, only: Set<ParameterPath>? = nil,
    share: Double = 1, batch: Int, seed: UInt64, check: (Int) throws -> Void = { _ in }
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
        Recalibration.set(layer, to: moments, share: share, in: &current)
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
