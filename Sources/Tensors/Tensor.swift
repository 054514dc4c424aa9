// SPDX-License-Identifier: Apache-2.0

/// What a ``Tensor`` may hold: `Float`, `Double` and the integer types of images and labels.
package protocol TensorScalar: BitwiseCopyable, Sendable, Equatable {
  /// The zero a fresh tensor is filled with.
  static var zero: Self { get }
}
extension Float: TensorScalar {}
extension Double: TensorScalar {}
extension UInt8: TensorScalar {}
extension Int32: TensorScalar {}

/// A dense row-major array in host memory, 64-byte aligned, with value semantics.
///
/// Copies share memory until one of them is written (copy on write), so a tensor can be passed and
/// stored like any other value. Inner loops take the buffer once with ``withUnsafeElements(_:)``.
package struct Tensor<Scalar: TensorScalar>: Sendable, Equatable {
  /// Extents, outermost first.
  package let shape: Shape
  private var storage: AlignedStorage<Scalar>

  /// A tensor of zeros.
  package init(zeros shape: Shape) {
    self.shape = shape
    storage = AlignedStorage(count: shape.count)
  }

  /// A tensor with `elements` in row-major order; traps unless there are exactly `shape.count`.
  package init(_ elements: some Collection<Scalar>, shape: Shape) {
    precondition(
      elements.count == shape.count,
      "A tensor of shape \(shape) needs \(shape.count) elements, got \(elements.count).")
    self.init(zeros: shape)
    _ = storage.elements.update(fromContentsOf: elements)
  }

  /// A tensor whose elements are written by `body`, which sees zeros.
  package init(
    shape: Shape, initializedBy body: (UnsafeMutableBufferPointer<Scalar>) throws -> Void
  ) rethrows {
    self.init(zeros: shape)
    try body(storage.elements)
  }

  /// Number of elements.
  package var count: Int { shape.count }

  /// The elements in row-major order, copied.
  package var elements: [Scalar] { withUnsafeElements { Array($0) } }

  /// The element at row-major position `index`; traps outside `0..<count`.
  package subscript(index: Int) -> Scalar {
    get {
      precondition(index >= 0 && index < count, "Index \(index) is outside \(shape).")
      return storage.elements[index]
    }
    set {
      precondition(index >= 0 && index < count, "Index \(index) is outside \(shape).")
      makeUnique()
      storage.elements[index] = newValue
    }
  }

  /// Calls `body` with the elements; the pointer is valid during the call only.
  package func withUnsafeElements<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Scalar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // The memory must outlive `body` even when this is the tensor's last use.
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeBufferPointer(storage.elements))
  }

  /// Calls `body` with the elements to change; copies them first when they are shared.
  package mutating func withUnsafeMutableElements<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Scalar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    makeUnique()
    defer { withExtendedLifetime(storage) {} }
    return try body(storage.elements)
  }

  /// The same elements under another shape; traps unless the counts agree.
  package func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == count, "Cannot reshape \(self.shape) into \(shape).")
    return Tensor(shape: shape, sharing: storage)
  }

  /// Equal shapes and equal elements (so NaN differs from NaN).
  package static func == (left: Tensor, right: Tensor) -> Bool {
    left.shape == right.shape && left.storage.elements.elementsEqual(right.storage.elements)
  }

  private init(shape: Shape, sharing storage: AlignedStorage<Scalar>) {
    self.shape = shape
    self.storage = storage
  }

  private mutating func makeUnique() {
    if !isKnownUniquelyReferenced(&storage) { storage = storage.copy() }
  }
}

extension Tensor where Scalar: BinaryFloatingPoint {
  /// The same tensor in another precision, rounded to nearest.
  package func converted<Other: TensorScalar & BinaryFloatingPoint>(
    to type: Other.Type = Other.self
  ) -> Tensor<Other> {
    Tensor<Other>(shape: shape) { target in
      withUnsafeElements { source in
        for index in source.indices { target[index] = Other(source[index]) }
      }
    }
  }
}
