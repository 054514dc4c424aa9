// SPDX-License-Identifier: Apache-2.0

#include "thaw_zlib.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

struct thaw_inflater {
  z_stream stream;
};

// zlib counts in unsigned int; larger buffers are handed over in pieces.
static unsigned piece(size_t count) { return count > INT_MAX ? (unsigned)INT_MAX : (unsigned)count; }

thaw_inflater *thaw_inflater_new(thaw_zlib_wrapping wrapping) {
  thaw_inflater *inflater = calloc(1, sizeof *inflater);
  if (inflater == NULL) return NULL;
  // zlib's own way to say what surrounds the data.
  int bits = wrapping == THAW_ZLIB_RAW ? -MAX_WBITS : wrapping == THAW_ZLIB_GZIP ? MAX_WBITS + 16 : MAX_WBITS;
  if (inflateInit2(&inflater->stream, bits) != Z_OK) {
    free(inflater);
    return NULL;
  }
  return inflater;
}

void thaw_inflater_free(thaw_inflater *inflater) {
  if (inflater == NULL) return;
  inflateEnd(&inflater->stream);
  free(inflater);
}

thaw_zlib_status thaw_inflater_run(
    thaw_inflater *inflater, const uint8_t *input, size_t input_count, size_t *taken,
    uint8_t *output, size_t output_count, size_t *made, bool *has_ended) {
  z_stream *stream = &inflater->stream;
  *taken = 0;
  *made = 0;
  *has_ended = false;
  while (*made < output_count) {
    unsigned given = piece(input_count - *taken);
    unsigned room = piece(output_count - *made);
    stream->next_in = (Bytef *)(uintptr_t)(input + *taken);
    stream->avail_in = given;
    stream->next_out = output + *made;
    stream->avail_out = room;
    int code = inflate(stream, Z_NO_FLUSH);
    *taken += given - stream->avail_in;
    *made += room - stream->avail_out;
    if (code == Z_STREAM_END) {
      *has_ended = true;
      return THAW_ZLIB_OK;
    }
    if (code == Z_MEM_ERROR) return THAW_ZLIB_NO_MEMORY;
    if (code != Z_OK && code != Z_BUF_ERROR) return THAW_ZLIB_DAMAGED;
    // No progress: more input is needed.
    if (given == stream->avail_in && room == stream->avail_out) return THAW_ZLIB_OK;
  }
  return THAW_ZLIB_OK;
}

uint32_t thaw_crc32(uint32_t checksum, const uint8_t *bytes, size_t count) {
  return (uint32_t)crc32_z(checksum, bytes, count);
}

const char *thaw_zlib_version(void) { return zlibVersion(); }
