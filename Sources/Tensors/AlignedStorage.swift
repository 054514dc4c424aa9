// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A fixed block of 64-byte aligned memory, zero-filled, freed with the last reference.
///
/// 64 bytes is one cache line and one AVX-512 register: kernels load from it without a split.
/// Not synchronised: whoever writes owns it alone.
package final class AlignedStorage<Scalar: BitwiseCopyable>: @unchecked Sendable {
  /// The whole block.
  package let elements: UnsafeMutableBufferPointer<Scalar>
  private let allocation: UnsafeMutableRawPointer

  /// Takes `count` elements, all bytes zero. Traps when `count` is negative.
  package init(count: Int) {
    precondition(count >= 0, "AlignedStorage needs a count of at least 0, got \(count).")
    let bytes = count * MemoryLayout<Scalar>.stride
    // Pages that come fresh from the system are zero already and are not touched here: a large block that
    // is written next would be gone through twice otherwise.
    guard let allocation = calloc(1, max(bytes, 64) + 63) else {
      preconditionFailure("There is no memory for \(bytes) bytes.")
    }
    self.allocation = allocation
    let raw = allocation.alignedUp(toMultipleOf: 64)
    elements = UnsafeMutableBufferPointer(
      start: raw.bindMemory(to: Scalar.self, capacity: count), count: count)
  }

  deinit { free(allocation) }

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
