// SPDX-License-Identifier: Apache-2.0
#include "thaw_heif.h"

#include <stdlib.h>

#include "thaw_exif.h"
#include "thaw_heif_decoders.h"
#include "thaw_heif_planes.h"
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

// EXIF as a block of its own: an offset in four bytes, then the structure.
static void fill_camera(const heif_reader *reader, thaw_image_info *info) {
  enum { LONGEST = 1 << 20 };
  heif_item_id block;
  if (heif_image_handle_get_list_of_metadata_block_IDs(reader->handle, "Exif", &block, 1) != 1) return;
  size_t count = heif_image_handle_get_metadata_size(reader->handle, block);
  if (count < 12 || count > LONGEST) return;
  uint8_t *bytes = malloc(count);
  if (bytes == NULL) return;
  if (heif_image_handle_get_metadata(reader->handle, block, bytes).code == heif_error_Ok) {
    uint32_t offset = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    if (offset <= count - 4) {
      thaw_exif_camera(bytes + 4 + offset, count - 4 - offset, info->camera, sizeof info->camera);
    }
  }
  free(bytes);
}

thaw_icc_status thaw_heif_profile(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t **profile,
                                  size_t *profile_count) {
  heif_reader reader;
  thaw_image_report report;
  *profile = NULL;
  *profile_count = 0;
  if (open_reader(&reader, bytes, count, options, &report) != THAW_IMAGE_OK) {
    close_reader(&reader, THAW_IMAGE_CORRUPT);
    return THAW_ICC_NONE;
  }
  thaw_icc_status status = THAW_ICC_NONE;
  size_t size = heif_image_handle_get_raw_color_profile_size(reader.handle);
  if (size > 0) status = size < 128 || size > THAW_ICC_LIMIT ? THAW_ICC_DAMAGED : THAW_ICC_FOUND;
  if (status == THAW_ICC_FOUND) {
    *profile = malloc(size);
    *profile_count = size;
    if (*profile == NULL) {
      status = THAW_ICC_NO_MEMORY;
    } else if (heif_image_handle_get_raw_color_profile(reader.handle, *profile).code != heif_error_Ok) {
      free(*profile);
      *profile = NULL;
      status = THAW_ICC_DAMAGED;
    }
  }
  close_reader(&reader, THAW_IMAGE_OK);
  return status;
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
    fill_camera(&reader, info);
  }
  return close_reader(&reader, status);
}

static bool is_avif(const uint8_t *bytes, size_t count) {
  size_t end = count < 64 ? count : 64;
  for (size_t at = 8; at + 4 <= end; at += 4) {
    if (memcmp(bytes + at, "avif", 4) == 0 || memcmp(bytes + at, "avis", 4) == 0) return true;
    if (memcmp(bytes + at, "meta", 4) == 0) break;
  }
  return false;
}

// Whether the header speaks of an image made of tiles.
static bool has_tiles(const uint8_t *bytes, size_t count) {
  size_t end = count < 65536 ? count : 65536;
  for (size_t at = 0; at + 4 <= end; at++) {
    if (memcmp(bytes + at, "grid", 4) == 0) return true;
  }
  return false;
}

// How an AVIF stores its colours, as its configuration says; undefined when it has none.
static enum heif_chroma stored_chroma(const uint8_t *bytes, size_t count) {
  size_t end = count < 65536 ? count : 65536;
  for (size_t at = 0; at + 8 <= end; at++) {
    if (memcmp(bytes + at, "av1C", 4) != 0) continue;
    uint8_t flags = bytes[at + 6];
    bool across = (flags & 8) != 0, down = (flags & 4) != 0, grey = (flags & 16) != 0;
    if (grey) return heif_chroma_undefined;
    if (!across) return heif_chroma_444;
    return down ? heif_chroma_420 : heif_chroma_422;
  }
  return heif_chroma_undefined;
}

// Pixels with transparency as they are stored, on the background.
static void lay_row(const uint8_t *rgba, size_t width, bool premultiplied,
                    const thaw_decode_options *options, uint8_t *pixels) {
  if (!premultiplied) return thaw_composite(rgba, pixels, width, options->background);
  for (size_t x = 0; x < width; x++, rgba += 4, pixels += 3) {
    for (int channel = 0; channel < 3; channel++) {
      uint32_t sum =
          rgba[channel] + thaw_multiply_255(options->background[channel], 255u - rgba[3]);
      pixels[channel] = (uint8_t)(sum > 255 ? 255 : sum);
    }
  }
}

static bool is_premultiplied(const heif_reader *reader) {
  return reader->has_alpha && heif_image_handle_is_premultiplied_alpha(reader->handle) != 0;
}

// Converts the planes of an image row by row; false when they are not as expected.
static bool convert_planes(const heif_reader *reader, const struct heif_image *image,
                           const thaw_heif_matrix *matrix, const thaw_decode_options *options,
                           uint8_t *pixels, bool *visible) {
  thaw_heif_converter converter;
  if (!thaw_heif_converter_open(&converter, image, matrix, reader->width, reader->height,
                                reader->has_alpha)) {
    return false;
  }
  bool premultiplied = is_premultiplied(reader);
  for (uint32_t y = 0; y < reader->height; y++, pixels += (size_t)reader->width * 3) {
    if (!reader->has_alpha) {
      thaw_heif_convert_row(&converter, y, pixels);
      continue;
    }
    const uint8_t *rgba = thaw_heif_convert_row(&converter, y, NULL);
    if (!*visible) *visible = thaw_any_visible(rgba, reader->width);
    lay_row(rgba, reader->width, premultiplied, options, pixels);
  }
  thaw_heif_converter_close(&converter);
  return true;
}

// Whether the image was decoded in its own colours and converted here; otherwise nothing was done.
static bool decode_planes(const heif_reader *reader, struct heif_decoding_options *decoding,
                          enum heif_chroma chroma, const thaw_decode_options *options,
                          uint8_t *pixels, bool *visible) {
  thaw_heif_matrix matrix;
  if (chroma == heif_chroma_undefined || !thaw_heif_matrix_of(reader->handle, &matrix)) return false;
  struct heif_image *image = NULL;
  struct heif_error error = heif_decode_image(reader->handle, &image, heif_colorspace_YCbCr,
                                              chroma, decoding);
  if (error.code != heif_error_Ok) return false;
  bool done = heif_image_get_colorspace(image) == heif_colorspace_YCbCr &&
              convert_planes(reader, image, &matrix, options, pixels, visible);
  heif_image_release(image);
  return done;
}

static const uint8_t *whole_plane(const struct heif_image *image, const heif_reader *reader,
                                  enum heif_channel channel, size_t *stride) {
  int bytes = 0;
  const uint8_t *plane = heif_image_get_plane_readonly(image, channel, &bytes);
  *stride = (size_t)bytes;
  bool fits = plane != NULL && bytes > 0 && *stride >= reader->width &&
              heif_image_get_bits_per_pixel_range(image, channel) == 8 &&
              heif_image_get_width(image, channel) == (int)reader->width &&
              heif_image_get_height(image, channel) == (int)reader->height;
  return fits ? plane : NULL;
}

// Copies an image of three planes, or of one of grey; false when it is none.
static bool copy_planes(const heif_reader *reader, const struct heif_image *image,
                        const thaw_decode_options *options, uint8_t *pixels, bool *visible) {
  bool is_grey = heif_image_get_colorspace(image) == heif_colorspace_monochrome;
  static const enum heif_channel colours[4] = {heif_channel_R, heif_channel_G, heif_channel_B,
                                               heif_channel_Alpha};
  const uint8_t *planes[4];
  size_t strides[4], width = reader->width;
  for (int k = 0; k < (reader->has_alpha ? 4 : 3); k++) {
    planes[k] = whole_plane(image, reader, is_grey && k < 3 ? heif_channel_Y : colours[k], &strides[k]);
    if (planes[k] == NULL) return false;
  }
  uint8_t *rgba = reader->has_alpha ? malloc(width * 4) : NULL;
  if (reader->has_alpha && rgba == NULL) return false;
  bool premultiplied = is_premultiplied(reader);
  for (size_t y = 0; y < reader->height; y++, pixels += width * 3) {
    const uint8_t *row[4];
    for (int k = 0; k < (reader->has_alpha ? 4 : 3); k++) row[k] = planes[k] + y * strides[k];
    if (!reader->has_alpha) {
      thaw_heif_interleave(row[0], row[1], row[2], width, pixels);
      continue;
    }
    for (size_t x = 0; x < width; x++) {
      for (int k = 0; k < 4; k++) rgba[4 * x + (size_t)k] = row[k][x];
    }
    if (!*visible) *visible = thaw_any_visible(rgba, width);
    lay_row(rgba, width, premultiplied, options, pixels);
  }
  free(rgba);
  return true;
}

// Whether the image was decoded by a decoder of ours; otherwise nothing was done.
static bool decode_here(const heif_reader *reader, struct heif_decoding_options *decoding,
                        const uint8_t *bytes, size_t count, const thaw_decode_options *options,
                        uint8_t *pixels, bool *visible) {
  bool avif = is_avif(bytes, count);
  // Differences are interpolated across the tiles of an AVIF.
  if (avif && has_tiles(bytes, count)) return false;
  if (!thaw_heif_choose(reader->handle, avif, decoding)) return false;
  struct heif_image *image = NULL;
  struct heif_error error = heif_decode_image(reader->handle, &image, heif_colorspace_undefined,
                                              heif_chroma_undefined, decoding);
  thaw_heif_choose_library(decoding);
  if (error.code != heif_error_Ok) return false;
  bool done = copy_planes(reader, image, options, pixels, visible);
  heif_image_release(image);
  return done;
}

static void copy_rows(const heif_reader *reader, const uint8_t *source, size_t stride,
                      const thaw_decode_options *options, uint8_t *pixels, bool *visible) {
  size_t width = reader->width;
  bool premultiplied = is_premultiplied(reader);
  for (size_t y = 0; y < reader->height; y++, source += stride, pixels += width * 3) {
    if (!reader->has_alpha) {
      memcpy(pixels, source, width * 3);
      continue;
    }
    if (!*visible) *visible = thaw_any_visible(source, width);
    lay_row(source, width, premultiplied, options, pixels);
  }
}

static thaw_image_status decode_colours(const heif_reader *reader,
                                        struct heif_decoding_options *decoding, size_t count,
                                        const thaw_decode_options *options, uint8_t *pixels,
                                        bool *visible, thaw_image_report *report) {
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
    copy_rows(reader, plane, (size_t)stride, options, pixels, visible);
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
  bool visible = !reader.has_alpha;
  heif_context_set_max_decoding_threads(reader.context, thaw_heif_begin());
  if (!decode_here(&reader, decoding, bytes, count, options, pixels, &visible)) {
    enum heif_chroma chroma =
        is_avif(bytes, count) ? stored_chroma(bytes, count) : heif_chroma_undefined;
    if (!decode_planes(&reader, decoding, chroma, options, pixels, &visible)) {
      status = decode_colours(&reader, decoding, count, options, pixels, &visible, report);
    }
  }
  thaw_heif_end();
  if (status == THAW_IMAGE_OK) thaw_report_visible(report, visible);
  heif_decoding_options_free(decoding);
  return close_reader(&reader, status);
}

#else

THAW_MISSING_FORMAT(heif)

thaw_icc_status thaw_heif_profile(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t **profile,
                                  size_t *profile_count) {
  (void)bytes, (void)count, (void)options;
  *profile = NULL;
  *profile_count = 0;
  return THAW_ICC_NONE;
}

#endif
