// SPDX-License-Identifier: Apache-2.0
//
// zlib for Swift: decompression piece by piece into buffers of the caller's size, so that no file
// decides how much memory is taken, and zip's checksum.
#ifndef THAW_ZLIB_H
#define THAW_ZLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  THAW_ZLIB_OK = 0,
  /// The data is not deflate's, or its checksum is wrong.
  THAW_ZLIB_DAMAGED = 1,
  THAW_ZLIB_NO_MEMORY = 2
} thaw_zlib_status;

/// What surrounds compressed data: nothing (zip entries), zlib's header (HDF5 chunks), or gzip's.
typedef enum { THAW_ZLIB_RAW, THAW_ZLIB_WRAPPED, THAW_ZLIB_GZIP } thaw_zlib_wrapping;

/// A decompression under way.
typedef struct thaw_inflater thaw_inflater;

/// Starts one; NULL when there is no memory.
thaw_inflater *thaw_inflater_new(thaw_zlib_wrapping wrapping);

/// Ends one; NULL is allowed.
void thaw_inflater_free(thaw_inflater *inflater);

/// Decompresses until the input is used up, the output full or the data at its end.
///
/// `taken` and `made` get the bytes used and written, `has_ended` whether that was the end.
thaw_zlib_status thaw_inflater_run(
    thaw_inflater *inflater, const uint8_t *input, size_t input_count, size_t *taken,
    uint8_t *output, size_t output_count, size_t *made, bool *has_ended);

/// Continues the checksum of zip archives (polynomial 0xEDB88320, reflected); begin with 0.
uint32_t thaw_crc32(uint32_t checksum, const uint8_t *bytes, size_t count);

/// For example "1.2.13".
const char *thaw_zlib_version(void);

#ifdef __cplusplus
}
#endif

#endif
