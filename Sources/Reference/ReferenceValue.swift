// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The result of one node in a plan, and its gradient where one is needed.
final class ReferenceValue<Scalar: BLASScalar> {
  /// Of the largest batch: [batch, …].
  let shape: Shape
  /// Elements of one sample.
  let stride: Int
  /// Row major, `shape.count` elements.
  let values: UnsafeMutablePointer<Scalar>
  /// d loss / d values, as many; nil when nothing at or before this node trains.
  let gradient: UnsafeMutablePointer<Scalar>?
  private let storage: AlignedStorage<Scalar>
  private let gradientStorage: AlignedStorage<Scalar>?

  /// Wraps memory that may be shared with values of other lifetimes.
  init(shape: Shape, storage: AlignedStorage<Scalar>, gradient: AlignedStorage<Scalar>?) {
    self.shape = shape
    self.storage = storage
    gradientStorage = gradient
    stride = shape.count / shape[0]
    values = storage.start
    self.gradient = gradient?.start
  }

  /// Height and width; 1x1 for a value [N, F].
  var image: Extent2D {
    shape.rank == 4 ? Extent2D(height: shape[2], width: shape[3]) : Extent2D(1)
  }
}
