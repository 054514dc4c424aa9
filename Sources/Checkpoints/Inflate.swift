// SPDX-License-Identifier: Apache-2.0

import CZlib

/// What surrounds deflated data.
enum DeflateWrapping {
  /// Nothing: zip entries.
  case raw
  /// zlib's header and checksum: HDF5 chunks.
  case zlib
}

/// Decompresses `bytes` into exactly `count` bytes; the caller has bounded `count`.
///
/// - Parameter failure: makes the error that is thrown for a reason.
func inflated(
  _ bytes: [UInt8], count: Int, _ wrapping: DeflateWrapping,
  failure: (_ reason: String, _ kind: CheckpointError.Kind) -> CheckpointError
) throws(CheckpointError) -> [UInt8] {
  var status = THAW_ZLIB_OK
  let result = [UInt8](unsafeUninitializedCapacity: count) { target, filled in
    status = bytes.withUnsafeBufferPointer {
      thaw_inflate($0.baseAddress, $0.count, target.baseAddress, count, wrapping == .raw ? 1 : 0)
    }
    filled = status == THAW_ZLIB_OK ? count : 0
  }
  switch status {
  case THAW_ZLIB_OK: return result
  case THAW_ZLIB_SHORT:
    throw failure("the compressed data ends before \(count) bytes", .malformed)
  case THAW_ZLIB_LONG:
    throw failure("the compressed data has more than the announced \(count) bytes", .malformed)
  case THAW_ZLIB_NO_MEMORY: throw failure("no memory to decompress it", .tooLarge)
  default: throw failure("the compressed data is damaged", .malformed)
  }
}
