// SPDX-License-Identifier: Apache-2.0

public import Tensors

/// A named tensor of a checkpoint: its elements stay in the file until they are asked for.
public struct StoredTensor: Sendable {
  /// The name as stored, for example `layer1.0.bn1.weight`.
  public let name: String
  /// The stored type.
  public let elementType: ElementType
  /// Extents, outermost first.
  public let shape: Shape
  private let contents: Contents

  private enum Contents: Sendable {
    case floats(Tensor<Float>)
    case stored(ByteSource, offset: Int, strides: [Int]?)
  }

  /// A tensor in memory, as Float32. The elements are shared, not copied.
  public init(_ name: String, _ tensor: Tensor<Float>) {
    self.init(name: name, .float32, tensor.shape, .floats(tensor))
  }

  /// A tensor in memory from its little-endian bytes in row-major order; traps unless their number
  /// is that of `shape`.
  public init(_ name: String, _ elementType: ElementType, _ shape: Shape, bytes: [UInt8]) {
    precondition(
      bytes.count == shape.count * elementType.size,
      "Tensor '\(name)', \(elementType.rawValue) \(shape), cannot have \(bytes.count) bytes.")
    self.init(
      name: name, elementType, shape,
      .stored(ByteSource(bytes, path: "memory"), offset: 0, strides: nil))
  }

  /// A tensor in a source; the caller has checked that it lies inside.
  ///
  /// - Parameter strides: steps between neighbours in elements; nil when row-major.
  init(
    name: String, _ elementType: ElementType, _ shape: Shape, in source: ByteSource, offset: Int,
    strides: [Int]? = nil
  ) {
    self.init(name: name, elementType, shape, .stored(source, offset: offset, strides: strides))
  }

  private init(
    name: String, _ elementType: ElementType, _ shape: Shape, _ contents: Contents
  ) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.contents = contents
  }

  /// Size of the elements in bytes.
  public var byteCount: Int { shape.count * elementType.size }

  /// The same elements under another name.
  public func renamed(_ name: String) -> StoredTensor {
    StoredTensor(name: name, elementType, shape, contents)
  }

  /// The elements as Float32, rounded to nearest; a number beyond its range becomes infinite, a
  /// boolean 0 or 1. NaN and infinite values pass: what they mean is the caller's affair.
  ///
  /// - Throws: ``CheckpointError`` when the file can no longer be read.
  public func floats() throws(CheckpointError) -> Tensor<Float> {
    switch contents {
    case .floats(let tensor): return tensor
    case .stored(let source, let offset, nil) where elementType == .float32:
      return try Tensor.filled(shape) { (target) throws(CheckpointError) in
        try source.read(at: offset, into: UnsafeMutableRawBufferPointer(target))
      }
    default:
      let bytes = try contiguousBytes()
      return try Tensor.filled(shape) { (target) throws(CheckpointError) in
        bytes.withUnsafeBytes { convert($0, elementType, into: target) }
      }
    }
  }

  /// Calls `body` with the little-endian bytes in row-major order; valid during the call only.
  ///
  /// - Throws: ``CheckpointError`` when the file can no longer be read, or what `body` throws.
  public func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    if case .floats(let tensor) = contents {
      return try tensor.withUnsafeElements { try body(UnsafeRawBufferPointer($0)) }
    }
    return try contiguousBytes().withUnsafeBytes(body)
  }

  /// Calls `body` with all little-endian bytes in row-major order, piece by piece where that saves
  /// memory.
  func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Void) throws(CheckpointError) {
    switch contents {
    case .floats(let tensor): tensor.withUnsafeElements { body(UnsafeRawBufferPointer($0)) }
    case .stored(let source, let offset, nil):
      try source.forEachPiece(at: offset, count: byteCount, body)
    case .stored: try contiguousBytes().withUnsafeBytes(body)
    }
  }

  private func contiguousBytes() throws(CheckpointError) -> [UInt8] {
    switch contents {
    case .floats(let tensor): return tensor.withUnsafeElements { Array(UnsafeRawBufferPointer($0)) }
    case .stored(let source, let offset, let strides):
      guard let strides, shape.count > 0 else {
        return try source.bytes(at: offset, count: byteCount)
      }
      // The caller of the initialiser has checked these sums.
      let last = zip(shape.extents, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
      let span = try source.bytes(at: offset, count: (last + 1) * elementType.size)
      return gathered(span, shape, strides, elementType.size)
    }
  }
}

extension Tensor {
  /// A tensor filled by a body that may throw a typed error.
  fileprivate static func filled<Failure: Error>(
    _ shape: Shape, _ body: (UnsafeMutableBufferPointer<Scalar>) throws(Failure) -> Void
  ) throws(Failure) -> Tensor {
    var tensor = Tensor(zeros: shape)
    try tensor.withUnsafeMutableElements(body)
    return tensor
  }
}
