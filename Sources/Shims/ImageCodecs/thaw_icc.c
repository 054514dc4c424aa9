// SPDX-License-Identifier: Apache-2.0
#include "thaw_icc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "thaw_exif.h"

static thaw_icc_status copied(const uint8_t *bytes, size_t count, uint8_t **profile,
                              size_t *profile_count) {
  if (count < 128 || count > THAW_ICC_LIMIT) return THAW_ICC_DAMAGED;
  *profile = malloc(count);
  if (*profile == NULL) return THAW_ICC_NO_MEMORY;
  memcpy(*profile, bytes, count);
  *profile_count = count;
  return THAW_ICC_FOUND;
}

// Segments APP2 of one profile: a signature, a number from 1, how many there are, a piece.
static thaw_icc_status find_in_jpeg(const uint8_t *bytes, size_t count, uint8_t **profile,
                                    size_t *profile_count) {
  static const char signature[12] = "ICC_PROFILE";
  const uint8_t *pieces[256] = {NULL};
  size_t sizes[256] = {0}, total = 0;
  unsigned wanted = 0, found = 0;
  size_t at = 2;
  while (at + 4 <= count && bytes[at] == 0xFF) {
    uint8_t marker = bytes[at + 1];
    if (marker == 0xFF) {
      at++;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
      at += 2;
      continue;
    }
    size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
    if (length < 2 || length > count - at - 2) break;
    const uint8_t *data = bytes + at + 4;
    if (marker == 0xE2 && length >= 16 && memcmp(data, signature, sizeof signature) == 0) {
      unsigned number = data[12], all = data[13];
      if (number == 0 || number > all || pieces[number] != NULL || (wanted != 0 && all != wanted)) {
        return THAW_ICC_DAMAGED;
      }
      wanted = all;
      found++;
      pieces[number] = data + 14;
      sizes[number] = length - 16;
      total += length - 16;
    }
    at += 2 + length;
  }
  if (wanted == 0) return THAW_ICC_NONE;
  if (found != wanted || total < 128 || total > THAW_ICC_LIMIT) return THAW_ICC_DAMAGED;
  *profile = malloc(total);
  if (*profile == NULL) return THAW_ICC_NO_MEMORY;
  *profile_count = total;
  size_t to = 0;
  for (unsigned number = 1; number <= wanted; number++) {
    memcpy(*profile + to, pieces[number], sizes[number]);
    to += sizes[number];
  }
  return THAW_ICC_FOUND;
}

static uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static thaw_icc_status inflated(const uint8_t *bytes, size_t count, uint8_t **profile,
                                size_t *profile_count) {
  uint8_t *target = malloc(THAW_ICC_LIMIT);
  if (target == NULL) return THAW_ICC_NO_MEMORY;
  z_stream stream = {0};
  thaw_icc_status status = THAW_ICC_NO_MEMORY;
  if (inflateInit(&stream) == Z_OK) {
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = count > THAW_ICC_LIMIT ? THAW_ICC_LIMIT : (uInt)count;
    stream.next_out = target;
    stream.avail_out = THAW_ICC_LIMIT;
    status = inflate(&stream, Z_FINISH) == Z_STREAM_END
                 ? copied(target, THAW_ICC_LIMIT - stream.avail_out, profile, profile_count)
                 : THAW_ICC_DAMAGED;
    inflateEnd(&stream);
  }
  free(target);
  return status;
}

// The chunk iCCP before the pixels: a name with a zero behind it, a byte for the way of packing, data.
static thaw_icc_status find_in_png(const uint8_t *bytes, size_t count, uint8_t **profile,
                                   size_t *profile_count) {
  size_t at = 8;
  while (at + 12 <= count) {
    uint32_t length = big_endian(bytes + at);
    const uint8_t *type = bytes + at + 4, *data = bytes + at + 8;
    if (length > count - at - 12 || memcmp(type, "IDAT", 4) == 0) break;
    if (memcmp(type, "iCCP", 4) == 0) {
      const uint8_t *end = memchr(data, 0, length);
      if (end == NULL || end + 2 > data + length || end[1] != 0) return THAW_ICC_DAMAGED;
      return inflated(end + 2, (size_t)(data + length - end - 2), profile, profile_count);
    }
    at += 12 + (size_t)length;
  }
  return THAW_ICC_NONE;
}

static thaw_icc_status find_in_webp(const uint8_t *bytes, size_t count, uint8_t **profile,
                                    size_t *profile_count) {
  size_t at = 12;
  while (at + 8 <= count) {
    const uint8_t *size = bytes + at + 4;
    size_t length = (size_t)size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
    if (length > count - at - 8) break;
    if (memcmp(bytes + at, "ICCP", 4) == 0) {
      return copied(bytes + at + 8, length, profile, profile_count);
    }
    at += 8 + length + (length & 1);
  }
  return THAW_ICC_NONE;
}

static thaw_icc_status find_in_tiff(const uint8_t *bytes, size_t count, uint8_t **profile,
                                    size_t *profile_count) {
  enum { TAG_PROFILE = 34675, TYPE_BYTE = 1, TYPE_UNDEFINED = 7 };
  thaw_exif_field field;
  if (!thaw_exif_find(bytes, count, TAG_PROFILE, &field)) return THAW_ICC_NONE;
  if (field.type != TYPE_BYTE && field.type != TYPE_UNDEFINED) return THAW_ICC_DAMAGED;
  if (field.offset > count || field.values > count - field.offset) return THAW_ICC_DAMAGED;
  return copied(bytes + field.offset, field.values, profile, profile_count);
}

thaw_icc_status thaw_icc_find(thaw_icc_container container, const uint8_t *bytes, size_t count,
                              uint8_t **profile, size_t *profile_count) {
  *profile = NULL;
  *profile_count = 0;
  switch (container) {
    case THAW_ICC_JPEG: return find_in_jpeg(bytes, count, profile, profile_count);
    case THAW_ICC_PNG: return find_in_png(bytes, count, profile, profile_count);
    case THAW_ICC_WEBP: return find_in_webp(bytes, count, profile, profile_count);
    case THAW_ICC_TIFF: return find_in_tiff(bytes, count, profile, profile_count);
  }
  return THAW_ICC_NONE;
}
