// SPDX-License-Identifier: Apache-2.0
#include "thaw_codecs.h"

// A cursor-free reader: every access names its offset and is checked against the size, so a loop of
// directories, an offset past the end or a huge count cannot lead anywhere. Only IFD0 is read.

typedef struct {
  const uint8_t *bytes;
  size_t count;
  bool little;
} tiff;

static bool read16(const tiff *t, size_t at, uint32_t *value) {
  if (at > t->count || t->count - at < 2) return false;
  const uint8_t *p = t->bytes + at;
  *value = t->little ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
  return true;
}

static bool read32(const tiff *t, size_t at, uint32_t *value) {
  uint32_t first, second;
  if (!read16(t, at, &first) || !read16(t, at + 2, &second)) return false;
  *value = t->little ? (first | second << 16) : (first << 16 | second);
  return true;
}

int32_t thaw_exif_orientation(const uint8_t *bytes, size_t count) {
  enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12, MAGIC = 42 };
  tiff t = {bytes, count, false};
  if (count < 8) return -1;
  if (bytes[0] == 'I' && bytes[1] == 'I') {
    t.little = true;
  } else if (!(bytes[0] == 'M' && bytes[1] == 'M')) {
    return -1;
  }
  uint32_t magic, directory, entries;
  if (!read16(&t, 2, &magic) || magic != MAGIC) return -1;
  if (!read32(&t, 4, &directory) || !read16(&t, directory, &entries)) return -1;
  for (uint32_t index = 0; index < entries; index++) {
    size_t at = (size_t)directory + 2 + (size_t)index * ENTRY_BYTES;
    uint32_t tag, type, values, orientation;
    if (!read16(&t, at, &tag)) return -1;
    if (tag != TAG_ORIENTATION) continue;
    if (!read16(&t, at + 2, &type) || !read32(&t, at + 4, &values)) return -1;
    if (!read16(&t, at + 8, &orientation)) return -1;
    bool valid = type == TYPE_SHORT && values == 1 && orientation >= 1 && orientation <= 8;
    return valid ? (int32_t)orientation : -1;
  }
  return 0;
}
