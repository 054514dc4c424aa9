// SPDX-License-Identifier: Apache-2.0

/// Up to eight neighbouring elements, worked on as one vector.
///
/// The compiler does not vectorise a loop over `Float.squareRoot()` (its scalar form branches on
/// negative numbers), but it does over that of a `SIMD8`. Every lane sees the operations of the
/// scalar formula in its order, so where an element lies in its chunk changes no bit of it.
struct ElementChunk {
  /// Elements of a whole chunk.
  static let width = 8
  let start: Int
  /// 1 to ``width``; only the last chunk of a parameter has fewer than ``width``.
  let count: Int
}

extension UnsafeMutableBufferPointer<Float> {
  /// The elements of `chunk`; lanes beyond its count are 1, so that no lane divides by zero.
  @inline(__always)
  func load(_ chunk: ElementChunk) -> SIMD8<Float> {
    if chunk.count == ElementChunk.width, let baseAddress {
      return UnsafeRawPointer(baseAddress + chunk.start).loadUnaligned(as: SIMD8<Float>.self)
    }
    var vector = SIMD8<Float>(repeating: 1)
    for lane in 0..<chunk.count { vector[lane] = self[chunk.start + lane] }
    return vector
  }

  /// Writes the lanes of `chunk`.
  @inline(__always)
  func store(_ vector: SIMD8<Float>, _ chunk: ElementChunk) {
    if chunk.count == ElementChunk.width, let baseAddress {
      return UnsafeMutableRawPointer(baseAddress + chunk.start)
        .storeBytes(of: vector, as: SIMD8<Float>.self)
    }
    for lane in 0..<chunk.count { self[chunk.start + lane] = vector[lane] }
  }

  /// Whether no element is NaN or infinite. One vector pass: 0 * x is 0 for a finite x only.
  var areFinite: Bool {
    var zeros = SIMD8<Float>(repeating: 0)
    let whole = count / ElementChunk.width * ElementChunk.width
    for start in stride(from: 0, to: whole, by: ElementChunk.width) {
      zeros += 0 * load(ElementChunk(start: start, count: ElementChunk.width))
    }
    return zeros == SIMD8(repeating: 0) && self[whole...].allSatisfy(\.isFinite)
  }
}
