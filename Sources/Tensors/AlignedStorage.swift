// SPDX-License-Identifier: Apache-2.0

/// A fixed block of 64-byte aligned memory, zero-filled, freed with the last reference.
///
/// 64 bytes is one cache line and one AVX-512 register: kernels load from it without a split.
/// Not synchronised: whoever writes owns it alone.
package final class AlignedStorage<Scalar: BitwiseCopyable>: @unchecked Sendable {
  /// The whole block.
  package let elements: UnsafeMutableBufferPointer<Scalar>

  /// Takes `count` elements, all bytes zero. Traps when `count` is negative.
  package init(count: Int) {
    precondition(count >= 0, "AlignedStorage needs a count of at least 0, got \(count).")
    let bytes = count * MemoryLayout<Scalar>.stride
    let raw = UnsafeMutableRawPointer.allocate(byteCount: max(bytes, 64), alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: max(bytes, 64))
    elements = UnsafeMutableBufferPointer(
      start: raw.bindMemory(to: Scalar.self, capacity: count), count: count)
  }

  deinit { UnsafeMutableRawPointer(mutating: elements.baseAddress)?.deallocate() }

  /// A second block with the same contents.
  package func copy() -> AlignedStorage {
    let other = AlignedStorage(count: elements.count)
    _ = other.elements.update(fromContentsOf: elements)
    return other
  }
}

extension AlignedStorage {
  /// The first element; the block is never empty, see `init`.
  package var start: UnsafeMutablePointer<Scalar> {
    guard let start = elements.baseAddress else {
      preconditionFailure("AlignedStorage always has memory.")
    }
    return start
  }
}
