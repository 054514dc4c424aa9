// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <zlib.h>

#include "thaw_exif.h"
#include "thaw_png_orientation.h"
#include "thaw_report.h"

// Chunks are found by their lengths alone, those behind the pixels too, as Pillow has it: EXIF in its own
// chunk, wherever it stands; else as text that ImageMagick writes; and where neither has an orientation,
// XMP's.

enum { LONGEST_TEXT = 1 << 17 };

typedef struct {
  const uint8_t *bytes;
  size_t count;
} span;

static int digit(uint8_t character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return -1;
}

// "\nexif\n      78\n45786966..." : a name, a count, then hexadecimal digits in lines.
static int32_t hexadecimal_orientation(span text) {
  size_t at = 0, lines = 0;
  while (at < text.count && lines < 3) {
    if (text.bytes[at++] == '\n') lines++;
  }
  size_t capacity = (text.count - at) / 2;
  uint8_t *exif = malloc(capacity + 1);
  if (exif == NULL) return 0;
  size_t count = 0;
  int high = -1;
  for (; at < text.count; at++) {
    int value = digit(text.bytes[at]);
    if (value < 0) continue;
    if (high < 0) {
      high = value;
    } else {
      exif[count++] = (uint8_t)(high << 4 | value);
      high = -1;
    }
  }
  size_t start = count >= 6 && memcmp(exif, "Exif\0\0", 6) == 0 ? 6 : 0;
  int32_t found = thaw_exif_orientation(exif + start, count - start);
  free(exif);
  return found;
}

// Unpacks at most LONGEST_TEXT bytes and hands them to `read`.
static int32_t with_inflated(span packed, int32_t (*read)(span)) {
  uint8_t *target = malloc(LONGEST_TEXT);
  if (target == NULL) return 0;
  z_stream stream = {0};
  int32_t found = 0;
  if (inflateInit(&stream) == Z_OK) {
    stream.next_in = (z_const Bytef *)packed.bytes;
    stream.avail_in = packed.count > LONGEST_TEXT ? LONGEST_TEXT : (uInt)packed.count;
    stream.next_out = target;
    stream.avail_out = LONGEST_TEXT;
    inflate(&stream, Z_FINISH);
    found = read((span){target, LONGEST_TEXT - stream.avail_out});
    inflateEnd(&stream);
  }
  free(target);
  return found;
}

static int32_t xmp_of(span text) { return thaw_xmp_orientation(text.bytes, text.count); }

// The part of a text chunk behind its keyword; false when the keyword is another.
static bool has_keyword(span chunk, const char *keyword, span *rest) {
  size_t length = strlen(keyword) + 1;
  if (chunk.count < length || memcmp(chunk.bytes, keyword, length) != 0) return false;
  *rest = (span){chunk.bytes + length, chunk.count - length};
  return true;
}

static int32_t profile_orientation(const uint8_t *type, span chunk) {
  span rest;
  if (!has_keyword(chunk, "Raw profile type exif", &rest)) return 0;
  if (memcmp(type, "tEXt", 4) == 0) return hexadecimal_orientation(rest);
  // A byte for the way of packing.
  if (memcmp(type, "zTXt", 4) != 0 || rest.count < 1) return 0;
  return with_inflated((span){rest.bytes + 1, rest.count - 1}, hexadecimal_orientation);
}

static int32_t xmp_orientation(span chunk) {
  span rest;
  if (!has_keyword(chunk, "XML:com.adobe.xmp", &rest) || rest.count < 2) return 0;
  bool is_packed = rest.bytes[0] == 1;
  size_t at = 2;
  // A language and a translated keyword, each with a zero behind it.
  for (int texts = 0; texts < 2; texts++) {
    while (at < rest.count && rest.bytes[at] != 0) at++;
    at++;
  }
  if (at >= rest.count) return 0;
  span text = {rest.bytes + at, rest.count - at};
  return is_packed ? with_inflated(text, xmp_of) : xmp_of(text);
}

int32_t thaw_png_orientation(const uint8_t *bytes, size_t count) {
  int32_t exif = 0, profile = 0, xmp = 0;
  bool has_exif = false;
  size_t at = 8;
  while (at + 12 <= count) {
    uint64_t length = (uint64_t)bytes[at] << 24 | (uint64_t)bytes[at + 1] << 16 |
                      (uint64_t)bytes[at + 2] << 8 | bytes[at + 3];
    if (length > count - at - 12) break;
    const uint8_t *type = bytes + at + 4;
    span chunk = {bytes + at + 8, (size_t)length};
    if (memcmp(type, "eXIf", 4) == 0) {
      size_t start = chunk.count >= 6 && memcmp(chunk.bytes, "Exif\0\0", 6) == 0 ? 6 : 0;
      exif = thaw_exif_orientation(chunk.bytes + start, chunk.count - start);
      has_exif = true;
    } else if (memcmp(type, "tEXt", 4) == 0 || memcmp(type, "zTXt", 4) == 0) {
      if (profile == 0) profile = profile_orientation(type, chunk);
    } else if (memcmp(type, "iTXt", 4) == 0) {
      if (xmp == 0) xmp = xmp_orientation(chunk);
    } else if (memcmp(type, "IEND", 4) == 0) {
      break;
    }
    at += 12 + (size_t)length;
  }
  int32_t found = has_exif ? exif : profile;
  return found != 0 ? found : xmp;
}

void thaw_png_camera(const uint8_t *bytes, size_t count, char *camera, size_t capacity) {
  camera[0] = 0;
  size_t at = 8;
  while (at + 12 <= count) {
    uint64_t length = (uint64_t)bytes[at] << 24 | (uint64_t)bytes[at + 1] << 16 |
                      (uint64_t)bytes[at + 2] << 8 | bytes[at + 3];
    if (length > count - at - 12) return;
    if (memcmp(bytes + at + 4, "eXIf", 4) == 0) {
      thaw_exif_camera(bytes + at + 8, (size_t)length, camera, capacity);
      return;
    }
    at += 12 + (size_t)length;
  }
}

int32_t thaw_xmp_orientation(const uint8_t *bytes, size_t count) {
  static const char name[] = "tiff:Orientation";
  const size_t length = sizeof name - 1;
  for (size_t at = 0; at + length + 3 <= count; at++) {
    if (bytes[at] != 't' || memcmp(bytes + at, name, length) != 0) continue;
    const uint8_t *rest = bytes + at + length;
    size_t skip = rest[0] == '>' ? 1 : rest[0] == '=' && rest[1] == '"' ? 2 : 0;
    if (skip == 0) continue;
    int value = digit(rest[skip]);
    return value >= 1 && value <= 8 ? value : -1;
  }
  return 0;
}
