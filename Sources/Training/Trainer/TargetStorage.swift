// SPDX-License-Identifier: Apache-2.0

import ThawImages
import ThawTensors

/// Memory for a batch's targets, kept from step to step: labels, and shares of the classes when samples
/// are mixed or may have several labels.
struct TargetStorage {
  private let classes: Int
  private var labels: AlignedStorage<Int32>
  /// [samples, classes]; nil when every sample is of one class.
  private var shares: AlignedStorage<Float>?
  /// Whether ``shares`` were given and do not follow from ``labels``.
  private var hasRows = false

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
    if let rows = source.targetRows, let shares {
      precondition(rows.classes == classes, "Targets of \(rows.classes) classes, not \(classes).")
      rows.elements.withUnsafeBufferPointer { elements in
        for (position, sample) in samples.enumerated() {
          let row = elements[sample * classes..<(sample + 1) * classes]
          _ = shares.elements[(position * classes)...].update(fromContentsOf: row)
        }
      }
      hasRows = true
      return
    }
    for (position, sample) in samples.enumerated() {
      labels.elements[position] = Int32(source.label(sample))
    }
  }

  /// Writes the distributions of the samples at `positions`, mixed among themselves.
  func mix(_ positions: Range<Int>, by draw: MixingDraw) {
    guard let shares else { preconditionFailure("Targets were made for samples without mixing.") }
    if hasRows {
      draw.mixTargets(
        UnsafeMutableBufferPointer(
          rebasing: shares.elements[
            positions.lowerBound * classes..<positions.upperBound * classes]),
        width: classes)
      return
    }
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
