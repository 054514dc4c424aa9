// SPDX-License-Identifier: Apache-2.0
#include "thaw_heif.h"

#include <stdlib.h>

#include "thaw_report.h"

#if THAW_HAS_HEIF
#include <libheif/heif.h>

typedef struct {
  struct heif_context *context;
  struct heif_image_handle *handle;
  uint32_t width, height;
  bool has_alpha;
} heif_reader;

static thaw_image_status fail_with(struct heif_error error, size_t count,
                                   thaw_image_report *report) {
  const char *text = error.message != NULL ? error.message : "";
  switch (error.code) {
    case heif_error_Memory_allocation_error:
      if (error.subcode == heif_suberror_Security_limit_exceeded) break;
      thaw_report_fail(report, "the HEIF library ran out of memory");
      return THAW_IMAGE_NO_MEMORY;
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature:
    case heif_error_Plugin_loading_error:
      thaw_report_fail(report, "%s", text);
      return THAW_IMAGE_UNSUPPORTED;
    default:
      if (error.subcode == heif_suberror_End_of_data) {
        thaw_report_fail(report, "data ends after %zu bytes", count);
        return THAW_IMAGE_TRUNCATED;
      }
      break;
  }
  thaw_report_fail(report, "%s", text[0] != 0 ? text : "the data contradict the format");
  return THAW_IMAGE_CORRUPT;
}

static thaw_image_status close_reader(heif_reader *reader, thaw_image_status status) {
  if (reader->handle != NULL) heif_image_handle_release(reader->handle);
  if (reader->context != NULL) heif_context_free(reader->context);
  return status;
}

static thaw_image_status open_reader(heif_reader *reader, const uint8_t *bytes, size_t count,
                                     const thaw_decode_options *options,
                                     thaw_image_report *report) {
  thaw_report_clear(report);
  memset(reader, 0, sizeof *reader);
  reader->context = heif_context_alloc();
  if (reader->context == NULL) {
    thaw_report_fail(report, "no memory for the HEIF decoder");
    return THAW_IMAGE_NO_MEMORY;
  }
  // A limit for each side; the product is looked at below, before anything is decoded.
  uint64_t side = options->max_pixels < 65536 ? options->max_pixels : 65536;
  heif_context_set_maximum_image_size_limit(reader->context, (int)side);
  struct heif_error error =
      heif_context_read_from_memory_without_copy(reader->context, bytes, count, NULL);
  if (error.code != heif_error_Ok) return fail_with(error, count, report);
  error = heif_context_get_primary_image_handle(reader->context, &reader->handle);
  if (error.code != heif_error_Ok) return fail_with(error, count, report);
  int width = heif_image_handle_get_width(reader->handle);
  int height = heif_image_handle_get_height(reader->handle);
  if (width <= 0 || height <= 0) {
    thaw_report_fail(report, "the image has no pixels");
    return THAW_IMAGE_CORRUPT;
  }
  reader->width = (uint32_t)width;
  reader->height = (uint32_t)height;
  if (!thaw_size_allowed(reader->width, reader->height, options->max_pixels)) {
    return thaw_report_size(report, reader->width, reader->height);
  }
  reader->has_alpha = heif_image_handle_has_alpha_channel(reader->handle) != 0;
  return THAW_IMAGE_OK;
}

thaw_image_status thaw_heif_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report) {
  heif_reader reader;
  thaw_image_status status = open_reader(&reader, bytes, count, options, report);
  if (status == THAW_IMAGE_OK) {
    int bits = heif_image_handle_get_luma_bits_per_pixel(reader.handle);
    *info = (thaw_image_info){.width = reader.width,
                              .height = reader.height,
                              .channels = reader.has_alpha ? 4 : 3,
                              .bits = bits > 0 ? (uint32_t)bits : 8,
                              // The library turns the image itself.
                              .orientation = 1,
                              .has_alpha = reader.has_alpha,
                              .is_progressive = false};
  }
  return close_reader(&reader, status);
}

// A plane of a decoded image.
typedef struct {
  const uint8_t *bytes;
  size_t stride;
  int width, height;
  // Bits of a sample; more than 8 take two bytes.
  int bits;
} heif_plane;

static bool plane_of(const struct heif_image *image, enum heif_channel channel, heif_plane *plane) {
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

// A sample in 0 to 255, with its fraction.
static float level(const heif_plane *plane, int x, int y) {
  const uint8_t *row = plane->bytes + (size_t)y * plane->stride;
  if (plane->bits == 8) return row[x];
  uint16_t value;
  memcpy(&value, row + (size_t)x * 2, 2);
  return (float)value * 255.0f / (float)((1 << plane->bits) - 1);
}

// The two samples around a place, and how much the second counts: a sample at half resolution stands in
// the middle of the pixels that it colours, as libavif has it.
static void around(int at, int full, int count, int *first, int *second, float *share) {
  if (count == full) {
    *first = *second = at, *share = 0;
    return;
  }
  int near = at / 2, other = at % 2 == 0 ? near - 1 : near + 1;
  if (near >= count) near = count - 1;
  if (other < 0) other = 0;
  if (other >= count) other = count - 1;
  *first = near, *second = other, *share = 0.25f;
}

static float colour(const heif_plane *plane, int x, int y, int width, int height) {
  int left, right, top, bottom;
  float across, down;
  around(x, width, plane->width, &left, &right, &across);
  around(y, height, plane->height, &top, &bottom, &down);
  float upper = level(plane, left, top) * (1 - across) + level(plane, right, top) * across;
  if (down == 0) return upper;
  float lower = level(plane, left, bottom) * (1 - across) + level(plane, right, bottom) * across;
  return upper * (1 - down) + lower * down;
}

static uint8_t byte_of(int32_t value) {
  return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

static int32_t rounded(float value) { return (int32_t)(value + (value < 0 ? -0.5f : 0.5f)); }

// How brightness and colour differences become red, green and blue.
typedef struct {
  float red, blue;
  bool full_range;
} heif_matrix;

// False for matrices that are left to the library.
static bool matrix_of(const struct heif_image_handle *handle, heif_matrix *matrix) {
  struct heif_color_profile_nclx *profile = NULL;
  *matrix = (heif_matrix){0.299f, 0.114f, true};
  struct heif_error error = heif_image_handle_get_nclx_color_profile(handle, &profile);
  if (error.code != heif_error_Ok || profile == NULL) {
    // One with values that it does not know is handed out beside the error.
    heif_nclx_color_profile_free(profile);
    return true;
  }
  bool known = true;
  matrix->full_range = profile->full_range_flag != 0;
  switch (profile->matrix_coefficients) {
    case heif_matrix_coefficients_ITU_R_BT_709_5: *matrix = (heif_matrix){0.2126f, 0.0722f, matrix->full_range}; break;
    case heif_matrix_coefficients_ITU_R_BT_2020_2_non_constant_luminance:
      *matrix = (heif_matrix){0.2627f, 0.0593f, matrix->full_range};
      break;
    case heif_matrix_coefficients_unspecified:
    case heif_matrix_coefficients_ITU_R_BT_470_6_System_B_G:
    case heif_matrix_coefficients_ITU_R_BT_601_6: break;
    default: known = false;
  }
  heif_nclx_color_profile_free(profile);
  return known;
}

// AVIF as libavif makes colours of it, and so Pillow: halved colour planes are interpolated. libheif
// repeats their samples, which differs at edges by up to a quarter of the range.
static bool convert_planes(const heif_reader *reader, const struct heif_image *image,
                           const heif_matrix *matrix, uint8_t *pixels) {
  heif_plane luma, blue, red;
  if (!plane_of(image, heif_channel_Y, &luma) || !plane_of(image, heif_channel_Cb, &blue) ||
      !plane_of(image, heif_channel_Cr, &red)) {
    return false;
  }
  int width = (int)reader->width, height = (int)reader->height;
  int halves[2] = {(width + 1) / 2, (height + 1) / 2};
  for (int index = 0; index < 2; index++) {
    const heif_plane *plane = index == 0 ? &blue : &red;
    if ((plane->width != width && plane->width != halves[0]) ||
        (plane->height != height && plane->height != halves[1])) {
      return false;
    }
  }
  if (luma.width != width || luma.height != height) return false;
  // Sixty-fourths, as libyuv under libavif computes: differences rounded to a byte, coefficients to a
  // sixty-fourth.
  float green = 1 - matrix->red - matrix->blue, range = matrix->full_range ? 1 : 255.0f / 224;
  float of_red = 2 * (1 - matrix->red) * range, of_blue = 2 * (1 - matrix->blue) * range;
  int32_t vr = rounded(64 * of_red), vg = rounded(64 * of_red * matrix->red / green);
  int32_t ub = rounded(64 * of_blue), ug = rounded(64 * of_blue * matrix->blue / green);
  uint32_t scale = matrix->full_range ? 16320 : 18997;
  int32_t offset = matrix->full_range ? 32 : -1160;
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++, pixels += 3) {
      uint32_t bright = (uint32_t)rounded(level(&luma, x, y));
      int32_t value = (int32_t)(bright * 0x0101 * scale >> 16) + offset;
      int32_t u = rounded(colour(&blue, x, y, width, height)) - 128;
      int32_t v = rounded(colour(&red, x, y, width, height)) - 128;
      pixels[0] = byte_of((value + vr * v) >> 6);
      pixels[1] = byte_of((value - ug * u - vg * v) >> 6);
      pixels[2] = byte_of((value + ub * u) >> 6);
    }
  }
  return true;
}

static bool is_avif(const uint8_t *bytes, size_t count) {
  size_t end = count < 64 ? count : 64;
  for (size_t at = 8; at + 4 <= end; at += 4) {
    if (memcmp(bytes + at, "avif", 4) == 0 || memcmp(bytes + at, "avis", 4) == 0) return true;
    if (memcmp(bytes + at, "meta", 4) == 0) break;
  }
  return false;
}

// How an AVIF stores its colours, as its configuration says; undefined when they are not halved.
static enum heif_chroma stored_chroma(const uint8_t *bytes, size_t count) {
  size_t end = count < 65536 ? count : 65536;
  for (size_t at = 0; at + 8 <= end; at++) {
    if (memcmp(bytes + at, "av1C", 4) != 0) continue;
    uint8_t flags = bytes[at + 6];
    bool across = (flags & 8) != 0, down = (flags & 4) != 0, grey = (flags & 16) != 0;
    if (grey || !across) return heif_chroma_undefined;
    return down ? heif_chroma_420 : heif_chroma_422;
  }
  return heif_chroma_undefined;
}

// Whether the image was decoded in its own colours and converted here; otherwise nothing was done.
static bool decode_planes(const heif_reader *reader, struct heif_decoding_options *decoding,
                          enum heif_chroma chroma, uint8_t *pixels) {
  heif_matrix matrix;
  if (chroma == heif_chroma_undefined || reader->has_alpha || !matrix_of(reader->handle, &matrix)) return false;
  struct heif_image *image = NULL;
  struct heif_error error = heif_decode_image(reader->handle, &image, heif_colorspace_YCbCr,
                                              chroma, decoding);
  if (error.code != heif_error_Ok) return false;
  bool done = heif_image_get_colorspace(image) == heif_colorspace_YCbCr &&
              convert_planes(reader, image, &matrix, pixels);
  heif_image_release(image);
  return done;
}

static void copy_rows(const heif_reader *reader, const uint8_t *source, size_t stride,
                      const thaw_decode_options *options, bool premultiplied, uint8_t *pixels) {
  size_t width = reader->width;
  for (size_t y = 0; y < reader->height; y++, source += stride, pixels += width * 3) {
    if (!reader->has_alpha) {
      memcpy(pixels, source, width * 3);
    } else if (!premultiplied) {
      thaw_composite(source, pixels, width, options->background);
    } else {
      for (size_t x = 0; x < width; x++) {
        uint32_t alpha = source[x * 4 + 3];
        for (int channel = 0; channel < 3; channel++) {
          uint32_t sum = source[x * 4 + (size_t)channel] +
                         thaw_multiply_255(options->background[channel], 255 - alpha);
          pixels[x * 3 + (size_t)channel] = (uint8_t)(sum > 255 ? 255 : sum);
        }
      }
    }
  }
}

static thaw_image_status decode_colours(const heif_reader *reader,
                                        struct heif_decoding_options *decoding, size_t count,
                                        const thaw_decode_options *options, uint8_t *pixels,
                                        thaw_image_report *report) {
  enum heif_chroma chroma =
      reader->has_alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
  struct heif_image *image = NULL;
  struct heif_error error =
      heif_decode_image(reader->handle, &image, heif_colorspace_RGB, chroma, decoding);
  if (error.code != heif_error_Ok) return fail_with(error, count, report);
  int stride = 0;
  const uint8_t *plane = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
  int width = heif_image_get_width(image, heif_channel_interleaved);
  int height = heif_image_get_height(image, heif_channel_interleaved);
  size_t needed = (size_t)reader->width * (reader->has_alpha ? 4 : 3);
  thaw_image_status status = THAW_IMAGE_OK;
  if (plane == NULL || width != (int)reader->width || height != (int)reader->height ||
      stride < 0 || (size_t)stride < needed) {
    thaw_report_fail(report, "the image has another size than its header says");
    status = THAW_IMAGE_CORRUPT;
  } else {
    bool premultiplied =
        reader->has_alpha && heif_image_handle_is_premultiplied_alpha(reader->handle) != 0;
    copy_rows(reader, plane, (size_t)stride, options, premultiplied, pixels);
  }
  heif_image_release(image);
  return status;
}

thaw_image_status thaw_heif_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report) {
  heif_reader reader;
  thaw_image_status status = open_reader(&reader, bytes, count, options, report);
  if (status != THAW_IMAGE_OK) return close_reader(&reader, status);
  if (capacity != (size_t)reader.width * reader.height * 3) {
    thaw_report_fail(report, "the buffer has %zu bytes", capacity);
    return close_reader(&reader, THAW_IMAGE_BAD_CALL);
  }
  struct heif_decoding_options *decoding = heif_decoding_options_alloc();
  if (decoding == NULL) {
    thaw_report_fail(report, "no memory for the HEIF decoder");
    return close_reader(&reader, THAW_IMAGE_NO_MEMORY);
  }
  decoding->convert_hdr_to_8bit = 1;
  enum heif_chroma chroma =
      is_avif(bytes, count) ? stored_chroma(bytes, count) : heif_chroma_undefined;
  if (!decode_planes(&reader, decoding, chroma, pixels)) {
    status = decode_colours(&reader, decoding, count, options, pixels, report);
  }
  heif_decoding_options_free(decoding);
  return close_reader(&reader, status);
}

#else

THAW_MISSING_FORMAT(heif)

#endif
