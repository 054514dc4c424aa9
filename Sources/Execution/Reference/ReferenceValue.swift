// SPDX-License-Identifier: Apache-2.0

import Network
import Tensors

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

/// One parameter or statistic of a plan, and its accumulated gradient when it trains.
final class ReferenceParameter<Scalar: BLASScalar> {
  let description: ParameterDescription
  /// Row major, PyTorch's layout.
  let values: UnsafeMutablePointer<Scalar>
  /// Accumulated since the last clearing; nil when frozen.
  let gradient: UnsafeMutablePointer<Scalar>?
  private let storage: AlignedStorage<Scalar>
  private let gradientStorage: AlignedStorage<Scalar>?

  /// A copy of `tensor`, with room for a gradient when it trains.
  init(_ description: ParameterDescription, _ tensor: Tensor<Float>, trains: Bool) {
    self.description = description
    storage = AlignedStorage(count: tensor.count)
    gradientStorage = trains ? AlignedStorage(count: tensor.count) : nil
    values = storage.start
    gradient = gradientStorage?.start
    set(tensor)
  }

  /// Number of elements.
  var count: Int { description.shape.count }
  /// The values with their count.
  var elements: UnsafeMutableBufferPointer<Scalar> { storage.elements }
  /// The accumulated gradient with its count; nil when frozen.
  var gradientElements: UnsafeMutableBufferPointer<Scalar>? { gradientStorage?.elements }

  /// Replaces the values.
  func set(_ tensor: Tensor<Float>) {
    tensor.withUnsafeElements { ReferenceElements.convert($0, to: elements) }
  }

  /// A copy of `elements` with this parameter's shape.
  func copy(of elements: UnsafeMutableBufferPointer<Scalar>) -> Tensor<Float> {
    Tensor(shape: description.shape) {
      ReferenceElements.convert(UnsafeBufferPointer(elements), to: $0)
    }
  }
}

extension AlignedStorage {
  /// The first element; the block is never empty, see `init`.
  var start: UnsafeMutablePointer<Scalar> {
    guard let start = elements.baseAddress else {
      preconditionFailure("AlignedStorage always has memory.")
    }
    return start
  }
}
