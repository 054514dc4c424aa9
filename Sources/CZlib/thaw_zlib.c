// SPDX-License-Identifier: Apache-2.0

#include "thaw_zlib.h"

#include <limits.h>
#include <zlib.h>

// zlib counts in unsigned int; larger buffers are handed over in pieces.
static unsigned piece(size_t count) { return count > INT_MAX ? (unsigned)INT_MAX : (unsigned)count; }

thaw_zlib_status thaw_inflate(
    const uint8_t *input, size_t input_count, uint8_t *output, size_t output_count, int is_raw) {
  z_stream stream = {0};
  if (inflateInit2(&stream, is_raw ? -MAX_WBITS : MAX_WBITS) != Z_OK) return THAW_ZLIB_NO_MEMORY;
  uint8_t spare;  // receives the byte that should not exist
  size_t written = 0, taken = 0;
  thaw_zlib_status status = THAW_ZLIB_DAMAGED;
  for (;;) {
    int is_full = written == output_count;
    unsigned room = is_full ? 1 : piece(output_count - written);
    unsigned given = piece(input_count - taken);
    stream.next_in = (Bytef *)(uintptr_t)(input + taken);
    stream.avail_in = given;
    stream.next_out = is_full ? &spare : output + written;
    stream.avail_out = room;
    int code = inflate(&stream, Z_NO_FLUSH);
    taken += given - stream.avail_in;
    unsigned made = room - stream.avail_out;
    if (is_full && made > 0) {
      status = THAW_ZLIB_LONG;
      break;
    }
    written += made;
    if (code == Z_STREAM_END) {
      status = written < output_count ? THAW_ZLIB_SHORT
               : taken < input_count  ? THAW_ZLIB_LONG
                                      : THAW_ZLIB_OK;
      break;
    }
    if (code == Z_MEM_ERROR) {
      status = THAW_ZLIB_NO_MEMORY;
      break;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) break;
    if (made == 0 && given - stream.avail_in == 0) {
      status = THAW_ZLIB_SHORT;
      break;
    }
  }
  inflateEnd(&stream);
  return status;
}
