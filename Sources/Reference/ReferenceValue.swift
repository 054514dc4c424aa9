// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The memory of a plan's values: a block for results, one for gradients.
struct ReferenceMemory<Scalar: BLASScalar> {
  let values: AlignedStorage<Scalar>
  let gradients: AlignedStorage<Scalar>
}

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
  private let memory: ReferenceMemory<Scalar>

  /// A value at `offset` elements into the block for results, with its gradient at `gradientOffset`;
  /// values of other lifetimes may lie in the same places.
  init(shape: Shape, memory: ReferenceMemory<Scalar>, offset: Int, gradientOffset: Int?) {
    self.shape = shape
    self.memory = memory
    stride = shape.count / shape[0]
    values = memory.values.start + offset
    gradient = gradientOffset.map { memory.gradients.start + $0 }
  }

  /// Height and width; 1x1 for a value [N, F].
  var image: Extent2D {
    shape.rank == 4 ? Extent2D(height: shape[2], width: shape[3]) : Extent2D(1)
  }
}
