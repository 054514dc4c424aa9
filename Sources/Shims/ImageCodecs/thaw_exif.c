// SPDX-License-Identifier: Apache-2.0
#include "thaw_exif.h"

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

// Opens the structure; false when it is none.
static bool open_tiff(tiff *t, const uint8_t *bytes, size_t count) {
  enum { MAGIC = 42 };
  *t = (tiff){bytes, count, false};
  if (count < 8) return false;
  if (bytes[0] == 'I' && bytes[1] == 'I') {
    t->little = true;
  } else if (!(bytes[0] == 'M' && bytes[1] == 'M')) {
    return false;
  }
  uint32_t magic;
  return read16(t, 2, &magic) && magic == MAGIC;
}

// The entry of a tag: 1 when there is one, 0 when there is none, -1 when the structure is broken.
static int find_entry(const tiff *t, uint32_t tag, size_t *place) {
  enum { ENTRY_BYTES = 12 };
  uint32_t directory, entries;
  if (!read32(t, 4, &directory) || !read16(t, directory, &entries)) return -1;
  for (uint32_t index = 0; index < entries; index++) {
    size_t at = (size_t)directory + 2 + (size_t)index * ENTRY_BYTES;
    uint32_t found;
    if (!read16(t, at, &found)) return -1;
    if (found != tag) continue;
    *place = at;
    return 1;
  }
  return 0;
}

int32_t thaw_exif_orientation(const uint8_t *bytes, size_t count) {
  enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };
  tiff t;
  size_t at;
  if (!open_tiff(&t, bytes, count)) return -1;
  int found = find_entry(&t, TAG_ORIENTATION, &at);
  if (found <= 0) return found;
  uint32_t type, values, orientation;
  if (!read16(&t, at + 2, &type) || !read32(&t, at + 4, &values)) return -1;
  if (!read16(&t, at + 8, &orientation)) return -1;
  bool valid = type == TYPE_SHORT && values == 1 && orientation >= 1 && orientation <= 8;
  return valid ? (int32_t)orientation : -1;
}

bool thaw_exif_find(const uint8_t *bytes, size_t count, uint32_t tag, thaw_exif_field *field) {
  static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
  tiff t;
  size_t at;
  if (!open_tiff(&t, bytes, count) || find_entry(&t, tag, &at) <= 0) return false;
  uint32_t offset;
  if (!read16(&t, at + 2, &field->type) || !read32(&t, at + 4, &field->values)) return false;
  if (field->type >= sizeof sizes || !read32(&t, at + 8, &offset)) return false;
  bool fits = (uint64_t)field->values * sizes[field->type] <= 4;
  field->offset = fits ? at + 8 : offset;
  return true;
}

// Adds a text of printable characters without blanks at its ends.
static void add_text(const uint8_t *bytes, size_t count, uint32_t tag, char *target, size_t capacity) {
  enum { TYPE_ASCII = 2 };
  thaw_exif_field field;
  if (!thaw_exif_find(bytes, count, tag, &field) || field.type != TYPE_ASCII) return;
  if (field.offset > count || field.values > count - field.offset) return;
  size_t length = 0;
  while (target[length] != 0) length++;
  size_t start = length;
  if (length > 0 && length + 1 < capacity) target[length++] = ' ';
  size_t text = length;
  for (uint32_t index = 0; index < field.values && length + 1 < capacity; index++) {
    uint8_t character = bytes[field.offset + index];
    if (character == 0) break;
    bool blank = character == ' ';
    if (character < 0x20 || character > 0x7E || (blank && length == text)) continue;
    target[length++] = (char)character;
  }
  while (length > text && target[length - 1] == ' ') length--;
  target[length > text ? length : start] = 0;
}

void thaw_exif_camera(const uint8_t *bytes, size_t count, char *camera, size_t capacity) {
  enum { TAG_MAKE = 0x010F, TAG_MODEL = 0x0110 };
  camera[0] = 0;
  add_text(bytes, count, TAG_MAKE, camera, capacity);
  add_text(bytes, count, TAG_MODEL, camera, capacity);
}
