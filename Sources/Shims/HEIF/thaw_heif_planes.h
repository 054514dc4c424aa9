// SPDX-License-Identifier: Apache-2.0
// From brightness and colour differences to red, green and blue, as libavif computes it and so Pillow.
#ifndef THAW_HEIF_PLANES_H
#define THAW_HEIF_PLANES_H

#if THAW_HAS_HEIF
#include <libheif/heif.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How brightness and colour differences become red, green and blue.
typedef struct {
  float red, blue;
  bool full_range;
  // Nothing was said: what JPEG does.
  bool is_default;
} thaw_heif_matrix;

/// False for matrices that are left to the library.
bool thaw_heif_matrix_of(const struct heif_image_handle *handle, thaw_heif_matrix *matrix);

/// A plane of a decoded image.
typedef struct {
  const uint8_t *bytes;
  size_t stride;
  int width, height;
  // Bits of a sample; more than 8 take two bytes.
  int bits;
} thaw_heif_plane;

/// An image whose rows are converted one after the other.
typedef struct {
  thaw_heif_plane luma, blue, red, alpha;
  bool has_alpha;
  uint32_t width, height;
  // Of a row: brightness, differences and transparency in bytes, colours, sums of two rows.
  uint8_t *bytes;
  int32_t *sums;
  int32_t vr, vg, ub, ug, offset;
  uint32_t scale;
} thaw_heif_converter;

/// False when the planes are not those of an image of this size, or memory ran out.
bool thaw_heif_converter_open(thaw_heif_converter *converter, const struct heif_image *image,
                              const thaw_heif_matrix *matrix, uint32_t width, uint32_t height,
                              bool has_alpha);

/// The same of planes with 8 bits a sample, without transparency.
bool thaw_heif_converter_planes(thaw_heif_converter *converter, const thaw_heif_plane *luma,
                                const thaw_heif_plane *blue, const thaw_heif_plane *red,
                                const thaw_heif_matrix *matrix);

/// Whether a plane of colour differences has the full or half the size of its image.
bool thaw_heif_is_colour(const thaw_heif_plane *plane, int width, int height);

/// Converts a row to three rows of bytes.
void thaw_heif_convert_planes(thaw_heif_converter *converter, uint32_t y, uint8_t *red,
                              uint8_t *green, uint8_t *blue);

/// Converts whole planes with 8 bits a sample as libheif does, and so Pillow's plug-in for HEIC: a
/// difference at half resolution colours two pixels alike, and sums are floating-point numbers. False when
/// memory ran out.
bool thaw_heif_convert_repeated(const thaw_heif_plane *luma, const thaw_heif_plane *blue,
                                const thaw_heif_plane *red, const thaw_heif_matrix *matrix,
                                uint8_t *const planes[3], const size_t strides[3]);

/// Three planes as one of red, green and blue side by side.
void thaw_heif_interleave(const uint8_t *red, const uint8_t *green, const uint8_t *blue, size_t count,
                          uint8_t *rgb);

/// Converts a row to `rgb`; without it, to red, green, blue and transparency in memory of the converter.
const uint8_t *thaw_heif_convert_row(thaw_heif_converter *converter, uint32_t y, uint8_t *rgb);

/// Frees what opening took.
void thaw_heif_converter_close(thaw_heif_converter *converter);

#endif
#endif
