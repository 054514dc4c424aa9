// SPDX-License-Identifier: Apache-2.0
//
// zlib for Swift: decompression into a buffer of known size, so that no file decides how much
// memory is taken.
#ifndef THAW_ZLIB_H
#define THAW_ZLIB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  THAW_ZLIB_OK = 0,
  /// The data is not deflate's, or its checksum is wrong.
  THAW_ZLIB_DAMAGED = 1,
  /// The data ends early, or gives fewer bytes than expected.
  THAW_ZLIB_SHORT = 2,
  /// The data gives more bytes than expected, or goes on after its end.
  THAW_ZLIB_LONG = 3,
  THAW_ZLIB_NO_MEMORY = 4
} thaw_zlib_status;

/// Decompresses `input` into exactly `output_count` bytes.
///
/// `is_raw`: nonzero for bare deflate (zip entries), zero for a zlib stream (HDF5 chunks).
thaw_zlib_status thaw_inflate(
    const uint8_t *input, size_t input_count, uint8_t *output, size_t output_count, int is_raw);

#ifdef __cplusplus
}
#endif

#endif
