// SPDX-License-Identifier: Apache-2.0

import ThawArchives
package import ThawTensors

/// A named tensor of a checkpoint: its elements stay in the file until they are asked for.
package struct StoredTensor: Sendable {
  /// The name as stored, for example `layer1.0.bn1.weight`.
  package let name: String
  /// The stored type.
  package let elementType: ElementType
  /// Extents, outermost first.
  package let shape: Shape
  private let contents: Contents
  /// Nil when the elements are stored in row-major order.
  private let order: StridedElements?

  private enum Contents: Sendable {
    case floats(Tensor<Float>)
    case stored(ByteSource, offset: Int)
    case packed(Unpacking)
  }

  /// Gives row-major bytes that have to be unpacked first: calls its argument with runs of whole
  /// elements and where they begin, in any order, every byte once. A run is wrong if an error follows.
  package typealias Unpacking =
    @Sendable (_ body: (UnsafeRawBufferPointer, _ offset: Int) -> Void) throws(CheckpointError)
    -> Void

  /// A tensor in memory, as Float32. The elements are shared, not copied.
  package init(_ name: String, _ tensor: Tensor<Float>) {
    self.init(name: name, .float32, tensor.shape, .floats(tensor), nil)
  }

  /// A tensor in memory from its little-endian bytes in row-major order; traps unless their number
  /// is that of `shape`.
  package init(_ name: String, _ elementType: ElementType, _ shape: Shape, bytes: [UInt8]) {
    precondition(
      bytes.count == shape.count * elementType.size,
      "Tensor '\(name)', \(elementType.rawValue) \(shape), cannot have \(bytes.count) bytes.")
    self.init(
      name: name, elementType, shape, .stored(ByteSource(bytes, path: "memory"), offset: 0), nil)
  }

  /// A tensor in a source; the caller has checked that it lies inside.
  ///
  /// - Parameter strides: steps between neighbours in elements; nil when row-major.
  init(
    name: String, _ elementType: ElementType, _ shape: Shape, in source: ByteSource, offset: Int,
    strides: [Int]? = nil
  ) {
    self.init(
      name: name, elementType, shape, .stored(source, offset: offset),
      strides.map { StridedElements(shape, strides: $0) })
  }

  /// A tensor whose row-major bytes are made when they are asked for.
  ///
  /// - Parameter unpack: gives exactly as many bytes as `shape` needs.
  package init(
    _ name: String, _ elementType: ElementType, _ shape: Shape, unpack: @escaping Unpacking
  ) {
    self.init(name: name, elementType, shape, .packed(unpack), nil)
  }

  private init(
    name: String, _ elementType: ElementType, _ shape: Shape, _ contents: Contents,
    _ order: StridedElements?
  ) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.contents = contents
    self.order = order
  }

  /// Size of the elements in bytes.
  package var byteCount: Int { shape.count * elementType.size }

  /// The same elements under another name.
  package func renamed(_ name: String) -> StoredTensor {
    StoredTensor(name: name, elementType, shape, contents, order)
  }

  /// The same elements with axis k being this tensor's axis `axes[k]`; nothing is read or moved yet.
  ///
  /// Traps unless `axes` names each axis once.
  package func permuted(_ axes: [Int]) -> StoredTensor {
    precondition(
      axes.sorted() == Array(0..<shape.rank),
      "Axes \(axes) are no permutation of the \(shape.rank) of tensor '\(name)'.")
    if let order, order.shape != shape {
      // Reshaped after a permutation: no steps lead through the stored elements.
      return StoredTensor(name, elementType, shape) { (body) throws(CheckpointError) in
        try contiguousBytes().withUnsafeBytes { body($0, 0) }
      }.permuted(axes)
    }
    let order = (order ?? StridedElements(rowMajor: shape)).permuted(axes)
    return StoredTensor(name: name, elementType, order.shape, contents, order)
  }

  /// The same elements in the same order under other extents; traps unless the counts agree.
  package func reshaped(_ shape: Shape) -> StoredTensor {
    precondition(
      shape.count == self.shape.count,
      "Tensor '\(name)' \(self.shape) cannot become \(shape): the counts differ.")
    return StoredTensor(name: name, elementType, shape, contents, order)
  }

  /// The elements as Float32, rounded to nearest; a number beyond its range becomes infinite, a
  /// boolean 0 or 1. NaN and infinite values pass: what they mean is the caller's affair.
  ///
  /// - Throws: ``CheckpointError`` when the file can no longer be read.
  package func floats() throws(CheckpointError) -> Tensor<Float> {
    if case .floats(let tensor) = contents, order == nil, tensor.shape == shape { return tensor }
    return try Tensor.filled(shape) { (target) throws(CheckpointError) in
      switch contents {
      case .packed(let unpack):
        let size = elementType.size
        try unpack { run, offset in place(run, from: offset / size, into: target) }
      case .stored(let source, let offset) where order == nil && elementType != .float32:
        var done = 0
        try source.forEachPiece(at: offset, count: byteCount) { piece in
          place(piece, from: done, into: target)
          done += piece.count / elementType.size
        }
      default:
        if elementType == .float32 { return try fill(UnsafeMutableRawBufferPointer(target)) }
        try contiguousBytes().withUnsafeBytes { convert($0, elementType, into: target) }
      }
    }
  }

  /// Converts a run of stored elements, the first of which is the one at `first`, and puts each
  /// where it belongs.
  private func place(
    _ run: UnsafeRawBufferPointer, from first: Int, into target: UnsafeMutableBufferPointer<Float>
  ) {
    let count = run.count / elementType.size
    guard let order else {
      let part = UnsafeMutableBufferPointer(rebasing: target[first..<(first + count)])
      if elementType == .float32 {
        return UnsafeMutableRawBufferPointer(part).copyMemory(from: run)
      }
      return convert(run, elementType, into: part)
    }
    let raw = UnsafeMutableRawBufferPointer(target)
    if elementType == .float32 { return order.place(run, from: first, elementSize: 4, into: raw) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { floats in
      convert(run, elementType, into: floats)
      order.place(UnsafeRawBufferPointer(floats), from: first, elementSize: 4, into: raw)
    }
  }

  /// Calls `body` with the little-endian bytes in row-major order; valid during the call only.
  ///
  /// - Throws: ``CheckpointError`` when the file can no longer be read, or what `body` throws.
  package func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    if case .floats(let tensor) = contents, order == nil {
      return try tensor.withUnsafeElements { try body(UnsafeRawBufferPointer($0)) }
    }
    return try contiguousBytes().withUnsafeBytes(body)
  }

  /// Calls `body` with all little-endian bytes in row-major order, piece by piece where that saves
  /// memory.
  package func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Void) throws(CheckpointError) {
    switch contents {
    case .floats(let tensor) where order == nil:
      tensor.withUnsafeElements { body(UnsafeRawBufferPointer($0)) }
    case .stored(let source, let offset) where order == nil:
      try source.forEachPiece(at: offset, count: byteCount, body)
    default: try contiguousBytes().withUnsafeBytes(body)
    }
  }

  private func contiguousBytes() throws(CheckpointError) -> [UInt8] {
    var failure: CheckpointError?
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
      do throws(CheckpointError) {
        try fill(
          UnsafeMutableRawBufferPointer(
            rebasing: UnsafeMutableRawBufferPointer(buffer)[..<byteCount]))
        filled = byteCount
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes all bytes in row-major order into `target`, which has ``byteCount``.
  private func fill(_ target: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
    let size = elementType.size
    switch contents {
    case .stored(let source, let offset):
      guard let order else { return try source.read(at: offset, into: target) }
      try order.copy(elementSize: size, into: target) { first, count throws(CheckpointError) in
        try source.bytes(at: offset + first * size, count: count * size)
      }
    case .packed(let unpack):
      try unpack { run, offset in
        if let order {
          order.place(run, from: offset / size, elementSize: size, into: target)
        } else {
          UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: run)
        }
      }
    case .floats(let tensor):
      try fill(target, from: tensor.withUnsafeElements { Array(UnsafeRawBufferPointer($0)) })
    }
  }

  private func fill(
    _ target: UnsafeMutableRawBufferPointer, from bytes: [UInt8]
  ) throws(CheckpointError) {
    guard let order else { return target.copyBytes(from: bytes) }
    let size = elementType.size
    try order.copy(elementSize: size, into: target) { first, count in
      Array(bytes[first * size..<(first + count) * size])
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
