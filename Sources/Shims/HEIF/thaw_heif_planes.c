// SPDX-License-Identifier: Apache-2.0
#include "thaw_heif_planes.h"

#if THAW_HAS_HEIF
#include <stdlib.h>
#include <string.h>

#include "thaw_dispatch.h"

bool thaw_heif_matrix_of(const struct heif_image_handle *handle, thaw_heif_matrix *matrix) {
  struct heif_color_profile_nclx *profile = NULL;
  *matrix = (thaw_heif_matrix){0.299f, 0.114f, true, false};
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
      *matrix = (thaw_heif_matrix){0.2126f, 0.0722f, full, false};
      break;
    case heif_matrix_coefficients_ITU_R_BT_2020_2_non_constant_luminance:
      *matrix = (thaw_heif_matrix){0.2627f, 0.0593f, full, false};
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

bool thaw_heif_is_colour(const thaw_heif_plane *plane, int width, int height) {
  int across = plane->width, down = plane->height;
  return (across == width || across == (width + 1) / 2) &&
         (down == height || down == (height + 1) / 2);
}

static int32_t rounded(float value) { return (int32_t)(value + (value < 0 ? -0.5f : 0.5f)); }

// Numbers and memory that a converter needs.
static bool prepare(thaw_heif_converter *converter, const thaw_heif_matrix *matrix) {
  // Sixty-fourths, as libyuv under libavif computes: differences rounded to a byte, coefficients to a
  // sixty-fourth.
  float green = 1 - matrix->red - matrix->blue, range = matrix->full_range ? 1 : 255.0f / 224;
  float of_red = 2 * (1 - matrix->red) * range, of_blue = 2 * (1 - matrix->blue) * range;
  converter->vr = rounded(64 * of_red), converter->vg = rounded(64 * of_red * matrix->red / green);
  converter->ub = rounded(64 * of_blue);
  // It keeps them in seven bits.
  if (converter->ub > 128) converter->ub = 128;
  converter->ug = rounded(64 * of_blue * matrix->blue / green);
  converter->scale = matrix->full_range ? 16320 : 18997;
  converter->offset = matrix->full_range ? 32 : -1160;
  converter->bytes = malloc((size_t)converter->width * 11);
  converter->sums = malloc((size_t)converter->width * sizeof(int32_t));
  if (converter->bytes != NULL && converter->sums != NULL) return true;
  thaw_heif_converter_close(converter);
  return false;
}

bool thaw_heif_converter_open(thaw_heif_converter *converter, const struct heif_image *image,
                              const thaw_heif_matrix *matrix, uint32_t width, uint32_t height,
                              bool has_alpha) {
  *converter = (thaw_heif_converter){.width = width, .height = height, .has_alpha = has_alpha};
  if (!plane_of(image, heif_channel_Y, &converter->luma) ||
      !plane_of(image, heif_channel_Cb, &converter->blue) ||
      !plane_of(image, heif_channel_Cr, &converter->red) ||
      !covers(&converter->luma, width, height) ||
      !thaw_heif_is_colour(&converter->blue, (int)width, (int)height) ||
      !thaw_heif_is_colour(&converter->red, (int)width, (int)height)) {
    return false;
  }
  if (has_alpha && (!plane_of(image, heif_channel_Alpha, &converter->alpha) ||
                    !covers(&converter->alpha, width, height))) {
    return false;
  }
  return prepare(converter, matrix);
}

bool thaw_heif_converter_planes(thaw_heif_converter *converter, const thaw_heif_plane *luma,
                                const thaw_heif_plane *blue, const thaw_heif_plane *red,
                                const thaw_heif_matrix *matrix) {
  *converter = (thaw_heif_converter){.luma = *luma, .blue = *blue, .red = *red,
                                     .width = (uint32_t)luma->width, .height = (uint32_t)luma->height};
  return prepare(converter, matrix);
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

// A row of a plane in bytes: its own, or `target`. Of deeper samples the upper eight bits count, and that
// before anything is computed, as in libavif.
static const uint8_t *byte_row(const thaw_heif_plane *plane, uint32_t y, uint8_t *target) {
  const uint8_t *row = row_of(plane, y);
  if (plane->bits == 8) return row;
  for (int x = 0; x < plane->width; x++) {
    uint16_t value;
    memcpy(&value, row + (size_t)x * 2, 2);
    uint32_t upper = (uint32_t)value >> (plane->bits - 8);
    target[x] = (uint8_t)(upper > 255 ? 255 : upper);
  }
  return target;
}

// Three parts of one row and one of the other.
THAW_DISPATCH
static void add_rows(const uint8_t *near, const uint8_t *other, size_t count, int32_t *sums) {
  for (size_t x = 0; x < count; x++) sums[x] = 3 * near[x] + other[x];
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
static uint32_t between(const int32_t *sums, size_t count, size_t width, size_t x) {
  size_t near = x / 2, other = x % 2 == 0 ? (near > 0 ? near - 1 : 0) : near + 1;
  // Neither end has a neighbour, also not the last pixel of an odd width.
  if (other >= count || x + 1 == width) other = near;
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
  add_rows(byte_row(plane, near, converter->bytes + 4 * (size_t)width),
           byte_row(plane, other, converter->bytes + 5 * (size_t)width), count, converter->sums);
  if (count == width) {
    for (size_t x = 0; x < width; x++) target[x] = (uint8_t)((converter->sums[x] + 2) >> 2);
    return target;
  }
  spread_inner(converter->sums, count, target);
  // What the loop over pairs leaves: both ends.
  for (size_t x = 0; x < width; x++) {
    if (x == 2 && count > 2) x = 2 * (count - 1);
    if (x < width) target[x] = (uint8_t)((between(converter->sums, count, width, x) + 8) >> 4);
  }
  return target;
}

static inline uint8_t clamp(int32_t value) {
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

THAW_DISPATCH
static void colours_of_row(const thaw_heif_converter *converter, const uint8_t *luma,
                           const uint8_t *blue, const uint8_t *red, size_t count, uint8_t *r,
                           uint8_t *g, uint8_t *b) {
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

THAW_DISPATCH
void thaw_heif_interleave(const uint8_t *red, const uint8_t *green, const uint8_t *blue, size_t count,
                          uint8_t *rgb) {
  for (size_t x = 0; x < count; x++) {
    rgb[3 * x] = red[x], rgb[3 * x + 1] = green[x], rgb[3 * x + 2] = blue[x];
  }
}

void thaw_heif_convert_planes(thaw_heif_converter *converter, uint32_t y, uint8_t *red,
                              uint8_t *green, uint8_t *blue) {
  size_t width = converter->width;
  const uint8_t *luma = byte_row(&converter->luma, y, converter->bytes);
  const uint8_t *cb = colour_row(converter, &converter->blue, y, converter->bytes + width);
  const uint8_t *cr = colour_row(converter, &converter->red, y, converter->bytes + 2 * width);
  colours_of_row(converter, luma, cb, cr, width, red, green, blue);
}

const uint8_t *thaw_heif_convert_row(thaw_heif_converter *converter, uint32_t y, uint8_t *rgb) {
  size_t width = converter->width;
  uint8_t *bytes = converter->bytes, *planes = bytes + 4 * width, *rgba = bytes + 7 * width;
  thaw_heif_convert_planes(converter, y, planes, planes + width, planes + 2 * width);
  if (rgb != NULL) {
    thaw_heif_interleave(planes, planes + width, planes + 2 * width, width, rgb);
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

// MARK: as libheif

// What a brightness and differences from 128 come to; in `float`, in libheif's order.
typedef struct {
  float offset, scale, spread, r_cr, g_cb, g_cr, b_cb;
} sums_of_floats;

static sums_of_floats sums_for(const thaw_heif_matrix *matrix) {
  float red = matrix->red, blue = matrix->blue;
  sums_of_floats sums = {0, 1, 1, 1.402f, -0.344136f, -0.714136f, 1.772f};
  if (!matrix->is_default) {
    sums.r_cr = 2 * (-red + 1);
    sums.g_cb = 2 * blue * (-blue + 1) / (blue + red - 1);
    sums.g_cr = 2 * red * (-red + 1) / (blue + red - 1);
    sums.b_cb = 2 * (-blue + 1);
  }
  if (!matrix->full_range) sums.offset = 16, sums.scale = 1.1689f, sums.spread = 1.1429f;
  return sums;
}

static inline uint8_t whole(float value) {
  int32_t number = (int32_t)value;
  return (uint8_t)(number < 0 ? 0 : number > 255 ? 255 : number);
}

THAW_DISPATCH
static void repeat(const uint8_t *row, size_t count, uint8_t *target) {
  for (size_t x = 0; x < count; x++) target[2 * x] = row[x], target[2 * x + 1] = row[x];
}

THAW_DISPATCH
static void floats_of_row(const uint8_t *luma, const uint8_t *blue, const uint8_t *red, size_t count,
                          const sums_of_floats *of, uint8_t *r, uint8_t *g, uint8_t *b) {
  sums_of_floats sums = *of;
  for (size_t x = 0; x < count; x++) {
    float value = ((float)luma[x] - sums.offset) * sums.scale;
    float cb = (float)(blue[x] - 128) * sums.spread, cr = (float)(red[x] - 128) * sums.spread;
    r[x] = whole(value + sums.r_cr * cr + 0.5f);
    g[x] = whole(value + sums.g_cb * cb + sums.g_cr * cr + 0.5f);
    b[x] = whole(value + sums.b_cb * cb + 0.5f);
  }
}

// A row of differences as wide as the image.
static const uint8_t *repeated_row(const thaw_heif_plane *plane, const thaw_heif_plane *luma, int y,
                                   uint8_t *target) {
  const uint8_t *row = row_of(plane, (uint32_t)(plane->height == luma->height ? y : y / 2));
  if (plane->width == luma->width) return row;
  repeat(row, (size_t)plane->width, target);
  return target;
}

bool thaw_heif_convert_repeated(const thaw_heif_plane *luma, const thaw_heif_plane *blue,
                                const thaw_heif_plane *red, const thaw_heif_matrix *matrix,
                                uint8_t *const planes[3], const size_t strides[3]) {
  size_t width = (size_t)luma->width;
  // A row of an odd width is one sample longer where differences are repeated.
  uint8_t *rows = malloc(2 * (width + 1));
  if (rows == NULL) return false;
  sums_of_floats sums = sums_for(matrix);
  for (int y = 0; y < luma->height; y++) {
    const uint8_t *cb = repeated_row(blue, luma, y, rows);
    const uint8_t *cr = repeated_row(red, luma, y, rows + width + 1);
    floats_of_row(row_of(luma, (uint32_t)y), cb, cr, width, &sums, planes[0] + (size_t)y * strides[0],
                  planes[1] + (size_t)y * strides[1], planes[2] + (size_t)y * strides[2]);
  }
  free(rows);
  return true;
}
#else
// An empty file is no C.
typedef int thaw_heif_without_planes;
#endif
