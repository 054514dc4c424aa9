// SPDX-License-Identifier: Apache-2.0

import ThawImages
import ThawTensors

/// Memory for a batch's targets, kept from step to step: labels, and distributions when samples are
/// mixed.
struct TargetStorage {
  private let classes: Int
  private var labels: AlignedStorage<Int32>
  /// [samples, classes]; nil when nothing is mixed.
  private var shares: AlignedStorage<Float>?

  /// Room for `samples`; it grows when a batch is larger.
  init(samples: Int, classes: Int, isMixed: Bool) {
    self.classes = classes
    labels = AlignedStorage(count: samples)
    shares = isMixed ? AlignedStorage(count: samples * classes) : nil
  }

  /// Writes the labels of a batch.
  mutating func fill(_ samples: ArraySlice<Int>, of source: any FeatureSource) {
    if labels.elements.count < samples.count {
      labels = AlignedStorage(count: samples.count)
      if shares != nil { shares = AlignedStorage(count: samples.count * classes) }
    }
    for (position, sample) in samples.enumerated() {
      labels.elements[position] = Int32(source.label(sample))
    }
  }

  /// Writes the distributions of the samples at `positions`, mixed among themselves.
  func mix(_ positions: Range<Int>, by draw: MixingDraw) {
    guard let shares else { preconditionFailure("Targets were made for samples without mixing.") }
    draw.targets(
      labels: UnsafeBufferPointer(rebasing: labels.elements[positions]), classes: classes,
      into: UnsafeMutableBufferPointer(
        rebasing: shares.elements[
          positions.lowerBound * classes..<positions.upperBound * classes]))
  }

  /// The targets of the samples at `positions`, valid until the next ``fill(_:of:)``.
  subscript(positions: Range<Int>) -> BatchTargets {
    guard let shares else {
      return .labels(UnsafeBufferPointer(rebasing: labels.elements[positions]))
    }
    return .probabilities(
      UnsafeBufferPointer(
        rebasing: shares.elements[
          positions.lowerBound * classes..<positions.upperBound * classes]))
  }
}
