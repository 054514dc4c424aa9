// SPDX-License-Identifier: Apache-2.0
#include "thaw_heif_planes.h"

#if THAW_HAS_HEIF
#include <stdlib.h>
#include <string.h>

#include "thaw_dispatch.h"

bool thaw_heif_matrix_of(const struct heif_image_handle *handle, thaw_heif_matrix *matrix) {
  struct heif_color_profile_nclx *profile = NULL;
  *matrix = (thaw_heif_matrix){0.299f, 0.114f, true};
  struct heif_error error = heif_image_handle_get_nclx_color_profile(handle, &profile);
  if (error.code != heif_error_Ok || profile == NULL) {
    // One with values that it does not know is handed out beside the error.
    heif_nclx_color_profile_free(profile);
    return true;
  }
  bool known = true;
  bool full = profile->full_range_flag != 0;
  switch (profile->matrix_coefficients) {
    case heif_matrix_coefficients_ITU_R_BT_709_5:
      *matrix = (thaw_heif_matrix){0.2126f, 0.0722f, full};
      break;
    case heif_matrix_coefficients_ITU_R_BT_2020_2_non_constant_luminance:
      *matrix = (thaw_heif_matrix){0.2627f, 0.0593f, full};
      break;
    case heif_matrix_coefficients_unspecified:
    case heif_matrix_coefficients_ITU_R_BT_470_6_System_B_G:
    case heif_matrix_coefficients_ITU_R_BT_601_6: matrix->full_range = full; break;
    default: known = false;
  }
  heif_nclx_color_profile_free(profile);
  return known;
}

static bool plane_of(const struct heif_image *image, enum heif_channel channel,
                     thaw_heif_plane *plane) {
  int stride = 0;
  plane->bytes = heif_image_get_plane_readonly(image, channel, &stride);
  plane->width = heif_image_get_width(image, channel);
  plane->height = heif_image_get_height(image, channel);
  plane->bits = heif_image_get_bits_per_pixel_range(image, channel);
  if (plane->bytes == NULL || plane->width <= 0 || plane->height <= 0 || stride <= 0) return false;
  plane->stride = (size_t)stride;
  size_t bytes = plane->bits > 8 ? 2 : 1;
  return plane->bits >= 8 && plane->bits <= 16 && plane->stride >= (size_t)plane->width * bytes;
}

static bool covers(const thaw_heif_plane *plane, uint32_t width, uint32_t height) {
  return (uint32_t)plane->width == width && (uint32_t)plane->height == height;
}

static bool is_colour(const thaw_heif_plane *plane, uint32_t width, uint32_t height) {
  uint32_t across = (uint32_t)plane->width, down = (uint32_t)plane->height;
  return (across == width || across == (width + 1) / 2) &&
         (down == height || down == (height + 1) / 2);
}

static int32_t rounded(float value) { return (int32_t)(value + (value < 0 ? -0.5f : 0.5f)); }

bool thaw_heif_converter_open(thaw_heif_converter *converter, const struct heif_image *image,
                              const thaw_heif_matrix *matrix, uint32_t width, uint32_t height,
                              bool has_alpha) {
  *converter = (thaw_heif_converter){.width = width, .height = height, .has_alpha = has_alpha};
  if (!plane_of(image, heif_channel_Y, &converter->luma) ||
      !plane_of(image, heif_channel_Cb, &converter->blue) ||
      !plane_of(image, heif_channel_Cr, &converter->red) ||
      !covers(&converter->luma, width, height) || !is_colour(&converter->blue, width, height) ||
      !is_colour(&converter->red, width, height)) {
    return false;
  }
  if (has_alpha && (!plane_of(image, heif_channel_Alpha, &converter->alpha) ||
                    !covers(&converter->alpha, width, height))) {
    return false;
  }
  // Sixty-fourths, as libyuv under libavif computes: differences rounded to a byte, coefficients to a
  // sixty-fourth.
  float green = 1 - matrix->red - matrix->blue, range = matrix->full_range ? 1 : 255.0f / 224;
  float of_red = 2 * (1 - matrix->red) * range, of_blue = 2 * (1 - matrix->blue) * range;
  converter->vr = rounded(64 * of_red), converter->vg = rounded(64 * of_red * matrix->red / green);
  converter->ub = rounded(64 * of_blue), converter->ug = rounded(64 * of_blue * matrix->blue / green);
  converter->scale = matrix->full_range ? 16320 : 18997;
  converter->offset = matrix->full_range ? 32 : -1160;
  converter->bytes = malloc((size_t)width * 11);
  converter->sums = malloc((size_t)width * sizeof(int32_t));
  if (converter->bytes != NULL && converter->sums != NULL) return true;
  thaw_heif_converter_close(converter);
  return false;
}

void thaw_heif_converter_close(thaw_heif_converter *converter) {
  free(converter->bytes);
  free(converter->sums);
  converter->bytes = NULL;
  converter->sums = NULL;
}

static const uint8_t *row_of(const thaw_heif_plane *plane, uint32_t y) {
  return plane->bytes + (size_t)y * plane->stride;
}

// `from` in parts of `whole`, as a byte, rounded.
static uint8_t scaled(uint32_t from, uint32_t whole) {
  uint32_t value = (from * 510 + whole) / (2 * whole);
  return (uint8_t)(value > 255 ? 255 : value);
}

// A row of a plane of full size in bytes: its own, or `target`.
static const uint8_t *byte_row(const thaw_heif_plane *plane, uint32_t y, uint8_t *target) {
  const uint8_t *row = row_of(plane, y);
  if (plane->bits == 8) return row;
  uint32_t top = (1u << plane->bits) - 1;
  for (int x = 0; x < plane->width; x++) {
    uint16_t value;
    memcpy(&value, row + (size_t)x * 2, 2);
    target[x] = scaled(value, top);
  }
  return target;
}

// Three parts of one row and one of the other.
THAW_DISPATCH
static void add_rows(const uint8_t *near, const uint8_t *other, size_t count, int32_t *sums) {
  for (size_t x = 0; x < count; x++) sums[x] = 3 * near[x] + other[x];
}

static void add_deep_rows(const uint8_t *near, const uint8_t *other, size_t count, int32_t *sums) {
  for (size_t x = 0; x < count; x++) {
    uint16_t one, two;
    memcpy(&one, near + 2 * x, 2);
    memcpy(&two, other + 2 * x, 2);
    sums[x] = 3 * one + two;
  }
}

// Halves that lie between pixels: three parts of the nearer and one of the farther, in sixteenths.
THAW_DISPATCH
static void spread_inner(const int32_t *sums, size_t count, uint8_t *target) {
  for (size_t k = 1; k + 1 < count; k++) {
    target[2 * k] = (uint8_t)((3 * sums[k] + sums[k - 1] + 8) >> 4);
    target[2 * k + 1] = (uint8_t)((3 * sums[k] + sums[k + 1] + 8) >> 4);
  }
}

// The pixel at `x` of a row whose samples stand for two pixels each.
static uint32_t between(const int32_t *sums, size_t count, size_t x) {
  size_t near = x / 2, other = x % 2 == 0 ? (near > 0 ? near - 1 : 0) : near + 1;
  if (other >= count) other = count - 1;
  return (uint32_t)(3 * sums[near] + sums[other]);
}

// A row of colour differences at full size: a sample at half resolution stands in the middle of the
// pixels that it colours, and those are interpolated. libheif repeats it, which differs at edges by up to
// a quarter of the range.
static const uint8_t *colour_row(thaw_heif_converter *converter, const thaw_heif_plane *plane,
                                 uint32_t y, uint8_t *target) {
  uint32_t width = converter->width;
  bool halved = (uint32_t)plane->height != converter->height;
  if (!halved && (uint32_t)plane->width == width) return byte_row(plane, y, target);
  uint32_t last = (uint32_t)plane->height - 1;
  uint32_t near = halved ? y / 2 : y, other = near;
  if (halved && y % 2 == 0 && near > 0) other = near - 1;
  if (halved && y % 2 == 1 && near < last) other = near + 1;
  size_t count = (size_t)plane->width;
  bool deep = plane->bits > 8;
  (deep ? add_deep_rows : add_rows)(row_of(plane, near), row_of(plane, other), count,
                                    converter->sums);
  uint32_t top = (1u << plane->bits) - 1;
  if (count == width) {
    for (size_t x = 0; x < width; x++) target[x] = scaled((uint32_t)converter->sums[x], 4 * top);
    return target;
  }
  if (!deep) spread_inner(converter->sums, count, target);
  // What the loop over pairs leaves: both ends, and deep samples.
  for (size_t x = 0; x < width; x++) {
    if (!deep && x == 2 && count > 2) x = 2 * (count - 1);
    if (x < width) target[x] = scaled(between(converter->sums, count, x), 16 * top);
  }
  return target;
}

static inline uint8_t clamp(int32_t value) {
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

THAW_DISPATCH
static void colours_of_row(const thaw_heif_converter *converter, const uint8_t *luma,
                           const uint8_t *blue, const uint8_t *red, size_t count, uint8_t *planes) {
  uint8_t *r = planes, *g = planes + count, *b = planes + 2 * count;
  uint32_t scale = converter->scale;
  int32_t offset = converter->offset, vr = converter->vr, vg = converter->vg;
  int32_t ub = converter->ub, ug = converter->ug;
  for (size_t x = 0; x < count; x++) {
    int32_t value = (int32_t)((uint32_t)luma[x] * 0x0101 * scale >> 16) + offset;
    int32_t u = blue[x] - 128, v = red[x] - 128;
    r[x] = clamp((value + vr * v) >> 6);
    g[x] = clamp((value - ug * u - vg * v) >> 6);
    b[x] = clamp((value + ub * u) >> 6);
  }
}

const uint8_t *thaw_heif_convert_row(thaw_heif_converter *converter, uint32_t y, uint8_t *rgb) {
  size_t width = converter->width;
  uint8_t *bytes = converter->bytes, *planes = bytes + 4 * width, *rgba = bytes + 7 * width;
  const uint8_t *luma = byte_row(&converter->luma, y, bytes);
  const uint8_t *blue = colour_row(converter, &converter->blue, y, bytes + width);
  const uint8_t *red = colour_row(converter, &converter->red, y, bytes + 2 * width);
  colours_of_row(converter, luma, blue, red, width, planes);
  if (rgb != NULL) {
    for (size_t x = 0; x < width; x++, rgb += 3) {
      rgb[0] = planes[x], rgb[1] = planes[x + width], rgb[2] = planes[x + 2 * width];
    }
    return NULL;
  }
  const uint8_t *alpha =
      converter->has_alpha ? byte_row(&converter->alpha, y, bytes + 3 * width) : NULL;
  for (size_t x = 0; x < width; x++) {
    rgba[4 * x] = planes[x], rgba[4 * x + 1] = planes[x + width];
    rgba[4 * x + 2] = planes[x + 2 * width], rgba[4 * x + 3] = alpha != NULL ? alpha[x] : 255;
  }
  return rgba;
}
#else
// An empty file is no C.
typedef int thaw_heif_without_planes;
#endif
