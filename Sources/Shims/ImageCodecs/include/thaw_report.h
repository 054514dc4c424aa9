// SPDX-License-Identifier: Apache-2.0
// Shared by the decoders: filling the report, the size check that precedes every allocation, and what
// becomes of transparent pixels.
#ifndef THAW_REPORT_H
#define THAW_REPORT_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "thaw_codecs.h"

static inline void thaw_report_clear(thaw_image_report *report) {
  memset(report, 0, sizeof *report);
}

/// The two functions of a format whose library this build lacks.
#define THAW_MISSING_FORMAT(format)                                                              \
  thaw_image_status thaw_##format##_probe(const uint8_t *bytes, size_t count,                    \
                                          const thaw_decode_options *options,                    \
                                          thaw_image_info *info, thaw_image_report *report) {    \
    (void)bytes, (void)count, (void)options, (void)info;                                         \
    thaw_report_clear(report);                                                                   \
    return THAW_IMAGE_MISSING;                                                                   \
  }                                                                                              \
  thaw_image_status thaw_##format##_decode(const uint8_t *bytes, size_t count,                   \
                                           const thaw_decode_options *options, uint8_t *pixels,  \
                                           size_t capacity, thaw_image_report *report) {         \
    (void)bytes, (void)count, (void)options, (void)pixels, (void)capacity;                       \
    thaw_report_clear(report);                                                                   \
    return THAW_IMAGE_MISSING;                                                                   \
  }

__attribute__((format(printf, 2, 3))) static inline void thaw_report_fail(
    thaw_image_report *report, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report->message, sizeof report->message, format, arguments);
  va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static inline void thaw_report_warn(
    thaw_image_report *report, const char *format, ...) {
  if (report->warning_count < UINT32_MAX) report->warning_count++;
  if (report->first_warning[0] != 0) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report->first_warning, sizeof report->first_warning, format, arguments);
  va_end(arguments);
}

/// Whether width * height, in 64 bits, stays within the limit.
static inline bool thaw_size_allowed(uint64_t width, uint64_t height, uint64_t max_pixels) {
  return width == 0 || height <= max_pixels / width;
}

/// Says that an image has more pixels than allowed.
static inline thaw_image_status thaw_report_size(thaw_image_report *report, uint64_t width,
                                                 uint64_t height) {
  thaw_report_fail(report, "%llu x %llu pixels", (unsigned long long)width,
                   (unsigned long long)height);
  return THAW_IMAGE_TOO_LARGE;
}

/// Warns of 16-bit samples that leave their upper bits unused, as cameras of 10 and 12 bits write them:
/// their high bytes are nearly black.
static inline void thaw_report_depth(thaw_image_report *report, uint32_t largest) {
  if (largest == 0 || largest >= 4096) return;
  thaw_report_warn(report,
                   "16-bit samples use %d bits, so that the photo is nearly black; --sixteen-bit stretch "
                   "(image: {sixteen_bit: stretch}) spreads them",
                   largest < 256 ? 8 : largest < 1024 ? 10 : 12);
}

/// How far 16-bit samples up to `largest` are shifted to become bytes: what cameras and scanners have, 8, 10,
/// 12 or 14 bits, is spread over the whole range.
static inline uint32_t thaw_stretch_shift(uint32_t largest) {
  return largest < 256 ? 0 : largest < 1024 ? 2 : largest < 4096 ? 4 : largest < 16384 ? 6 : 8;
}

/// Source-over on an opaque background with Pillow's rounding (`alpha_composite`): weights with seven
/// more bits than a byte, then a division by 255 as (x + (x >> 8)) >> 8.
static inline void thaw_composite(const uint8_t *rgba, uint8_t *rgb, size_t width,
                                  const uint8_t *background) {
  for (size_t x = 0; x < width; x++, rgba += 4, rgb += 3) {
    uint32_t alpha = rgba[3];
    for (int channel = 0; channel < 3; channel++) {
      uint32_t sum = rgba[channel] * (alpha << 7) + background[channel] * ((255 - alpha) << 7);
      sum += 0x80 << 7;
      uint32_t blended = (((sum >> 8) + sum) >> 8) >> 7;
      rgb[channel] = alpha == 0 ? background[channel] : (uint8_t)blended;
    }
  }
}

/// Whether any of the pixels can be seen.
static inline bool thaw_any_visible(const uint8_t *rgba, size_t width) {
  for (size_t x = 0; x < width; x++) {
    if (rgba[x * 4 + 3] != 0) return true;
  }
  return false;
}

/// Warns of a photo of which nothing can be seen.
static inline void thaw_report_visible(thaw_image_report *report, bool visible) {
  if (!visible) thaw_report_warn(report, "every pixel is transparent, so that only the background is seen");
}

/// a * b / 255 rounded to nearest, exact for bytes.
static inline uint32_t thaw_multiply_255(uint32_t a, uint32_t b) {
  uint32_t product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

#endif
