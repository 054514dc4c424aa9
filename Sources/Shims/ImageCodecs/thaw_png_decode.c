// SPDX-License-Identifier: Apache-2.0
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

#include "thaw_codecs.h"
#include "thaw_png_orientation.h"
#include "thaw_report.h"

// As for JPEG: a heap block that survives the jump. The classic row reader is used on purpose:
// libpng's simplified one applies gamma.
typedef struct {
  png_structp library;
  png_infop info;
  jmp_buf escape;
  const uint8_t *bytes;
  size_t count, position;
  const thaw_decode_options *options;
  thaw_image_report *report;
  thaw_image_status status;
  // Whether every row has been read, so that a missing end costs no pixel.
  bool complete;
  // Samples that need work: one row, or the whole image when it is interlaced.
  uint8_t *rows;
  // Of 16-bit samples of colour.
  uint32_t largest;
} png_decoder;

_Noreturn static void fail(png_decoder *decoder, thaw_image_status status) {
  decoder->status = status;
  longjmp(decoder->escape, 1);
}

_Noreturn static void on_error(png_structp library, png_const_charp text) {
  png_decoder *decoder = png_get_error_ptr(library);
  // libpng says "Out of memory" or "Insufficient memory ..." in these words.
  if (strcmp(text, "IEND: out of place") == 0) text = "no image data (IDAT)";
  bool memory = strstr(text, "memory") != NULL;
  if (decoder->report->message[0] == 0) thaw_report_fail(decoder->report, "%s", text);
  fail(decoder, memory ? THAW_IMAGE_NO_MEMORY : THAW_IMAGE_CORRUPT);
}

static void on_warning(png_structp library, png_const_charp text) {
  png_decoder *decoder = png_get_error_ptr(library);
  // After the last row libpng only warns when the stream's checksum is wrong.
  if (strncmp(text, "IDAT: incorrect", 15) == 0) on_error(library, text);
  thaw_report_warn(decoder->report, "%s", text);
}

static void on_read(png_structp library, png_bytep target, size_t count) {
  png_decoder *decoder = png_get_io_ptr(library);
  if (count > decoder->count - decoder->position) {
    thaw_report_fail(decoder->report, "data ends after %zu bytes", decoder->count);
    fail(decoder, THAW_IMAGE_TRUNCATED);
  }
  memcpy(target, decoder->bytes + decoder->position, count);
  decoder->position += count;
}

static void set_limits(png_decoder *decoder) {
  enum { LONGEST_SIDE = 1000000, CACHED_CHUNKS = 16, CHUNK_BYTES = 1 << 20 };
  png_structp library = decoder->library;
  png_set_user_limits(library, LONGEST_SIDE, LONGEST_SIDE);
  png_set_chunk_cache_max(library, CACHED_CHUNKS);
  png_set_chunk_malloc_max(library, CHUNK_BYTES);
  png_set_crc_action(library, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Text, profiles and time stamps are skipped unread: they cannot change a pixel here, and the
  // orientation is looked for elsewhere.
  png_set_keep_unknown_chunks(library, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

// The depth and colour type are read from the bytes first, so that the reason names the value.
static void check_header(png_decoder *decoder) {
  static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  size_t known = decoder->count < 8 ? decoder->count : 8;
  if (memcmp(decoder->bytes, signature, known) != 0) {
    thaw_report_fail(decoder->report, "bad signature (damaged by a text-mode transfer?)");
    fail(decoder, THAW_IMAGE_CORRUPT);
  }
  if (decoder->count < 26 || memcmp(decoder->bytes + 12, "IHDR", 4) != 0) return;
  const uint8_t *header = decoder->bytes + 16;
  uint64_t width = (uint64_t)header[0] << 24 | header[1] << 16 | header[2] << 8 | header[3];
  uint64_t height = (uint64_t)header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
  if (width == 0 || height == 0) {
    thaw_report_fail(decoder->report, "the header says %llu x %llu pixels",
                     (unsigned long long)width, (unsigned long long)height);
    fail(decoder, THAW_IMAGE_CORRUPT);
  }
  if (width > 1000000 || height > 1000000 ||
      !thaw_size_allowed(width, height, decoder->options->max_pixels)) {
    thaw_report_fail(decoder->report, "%llu x %llu pixels", (unsigned long long)width,
                     (unsigned long long)height);
    fail(decoder, THAW_IMAGE_TOO_LARGE);
  }
  int depth = header[8], colour = header[9];
  bool known_colour = colour == 0 || colour == 2 || colour == 3 || colour == 4 || colour == 6;
  bool known_depth = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
  if (!known_colour) {
    thaw_report_fail(decoder->report, "invalid colour type %d", colour);
    fail(decoder, THAW_IMAGE_CORRUPT);
  }
  if (!known_depth || (colour == 3 && depth == 16) ||
      (colour != 0 && colour != 3 && depth < 8)) {
    thaw_report_fail(decoder->report, "invalid bit depth %d for colour type %d", depth, colour);
    fail(decoder, THAW_IMAGE_CORRUPT);
  }
}

static void read_header(png_decoder *decoder) {
  check_header(decoder);
  decoder->library = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, on_error, on_warning);
  if (decoder->library != NULL) decoder->info = png_create_info_struct(decoder->library);
  if (decoder->info == NULL) {
    thaw_report_fail(decoder->report, "no memory for the PNG decoder");
    fail(decoder, THAW_IMAGE_NO_MEMORY);
  }
  set_limits(decoder);
  png_set_read_fn(decoder->library, decoder, on_read);
  png_read_info(decoder->library, decoder->info);
  uint64_t width = png_get_image_width(decoder->library, decoder->info);
  uint64_t height = png_get_image_height(decoder->library, decoder->info);
  if (!thaw_size_allowed(width, height, decoder->options->max_pixels)) {
    thaw_report_fail(decoder->report, "%llu x %llu pixels", (unsigned long long)width,
                     (unsigned long long)height);
    fail(decoder, THAW_IMAGE_TOO_LARGE);
  }
}

static bool has_alpha(png_decoder *decoder) {
  return (png_get_color_type(decoder->library, decoder->info) & PNG_COLOR_MASK_ALPHA) != 0 ||
         png_get_valid(decoder->library, decoder->info, PNG_INFO_tRNS) != 0;
}

static void fill_info(png_decoder *decoder, thaw_image_info *info) {
  png_structp library = decoder->library;
  info->width = png_get_image_width(library, decoder->info);
  info->height = png_get_image_height(library, decoder->info);
  info->channels = png_get_channels(library, decoder->info);
  info->bits = png_get_bit_depth(library, decoder->info);
  info->has_alpha = has_alpha(decoder);
  info->is_cmyk = false;
  thaw_png_camera(decoder->bytes, decoder->count, info->camera, sizeof info->camera);
  info->is_progressive = png_get_interlace_type(library, decoder->info) != PNG_INTERLACE_NONE;
  info->orientation = 1;
  int32_t found = thaw_png_orientation(decoder->bytes, decoder->count);
  if (found < 0) thaw_report_warn(decoder->report, "orientation ignored: not valid");
  if (found > 0) info->orientation = (uint32_t)found;
}

static png_decoder *make_decoder(const uint8_t *bytes, size_t count,
                                 const thaw_decode_options *options, thaw_image_report *report) {
  thaw_report_clear(report);
  png_decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) {
    thaw_report_fail(report, "no memory for the PNG decoder");
    return NULL;
  }
  decoder->bytes = bytes;
  decoder->count = count;
  decoder->options = options;
  decoder->report = report;
  return decoder;
}

static thaw_image_status destroy_decoder(png_decoder *decoder) {
  thaw_image_status status = decoder->status;
  if (decoder->library != NULL) {
    png_destroy_read_struct(&decoder->library, &decoder->info, NULL);
  }
  free(decoder->rows);
  free(decoder);
  return status;
}

thaw_image_status thaw_png_probe(const uint8_t *bytes, size_t count,
                                 const thaw_decode_options *options, thaw_image_info *info,
                                 thaw_image_report *report) {
  png_decoder *decoder = make_decoder(bytes, count, options, report);
  if (decoder == NULL) return THAW_IMAGE_NO_MEMORY;
  if (setjmp(decoder->escape) == 0) {
    read_header(decoder);
    fill_info(decoder, info);
  }
  return destroy_decoder(decoder);
}

static void allocate_rows(png_decoder *decoder, size_t rows, size_t row_bytes, size_t width) {
  decoder->rows = malloc(rows * row_bytes);
  if (decoder->rows == NULL) {
    thaw_report_fail(decoder->report, "no memory for %zu x %zu pixels", width, rows);
    fail(decoder, THAW_IMAGE_NO_MEMORY);
  }
}

// Notes the largest sample of colour.
static void note_largest(png_decoder *decoder, const uint8_t *row, size_t samples, size_t channels) {
  bool alpha = channels == 4;
  for (size_t index = 0; index < samples; index++) {
    uint32_t value = (uint32_t)row[2 * index] << 8 | row[2 * index + 1];
    if (!(alpha && index % 4 == 3) && value > decoder->largest) decoder->largest = value;
  }
}

// Keeps a byte of each sample, in place: the high one, but of colours what lies `shift` bits up.
static void keep_bytes(uint8_t *row, size_t samples, size_t channels, uint32_t shift) {
  for (size_t index = 0; index < samples; index++) {
    uint32_t value = (uint32_t)row[2 * index] << 8 | row[2 * index + 1];
    row[index] = (uint8_t)(value >> (channels == 4 && index % 4 == 3 ? 8 : shift));
  }
}

// A row as it was read, to colours.
static void finish_row(png_decoder *decoder, uint8_t *source, uint8_t *row, size_t width,
                       size_t channels, bool deep, bool *visible) {
  bool stretch = decoder->options->stretch;
  if (deep) keep_bytes(source, width * channels, channels, stretch ? thaw_stretch_shift(decoder->largest) : 8);
  if (channels == 4) {
    if (!*visible) *visible = thaw_any_visible(source, width);
    thaw_composite(source, row, width, decoder->options->background);
  } else {
    memcpy(row, source, width * 3);
  }
}

static void read_rows(png_decoder *decoder, uint8_t *pixels, size_t capacity) {
  png_structp library = decoder->library;
  bool alpha = has_alpha(decoder);
  bool deep = png_get_bit_depth(library, decoder->info) == 16;
  png_set_expand(library);
  png_set_gray_to_rgb(library);
  int passes = png_set_interlace_handling(library);
  png_read_update_info(library, decoder->info);
  size_t width = png_get_image_width(library, decoder->info);
  size_t height = png_get_image_height(library, decoder->info);
  size_t channels = alpha ? 4 : 3, row_bytes = width * channels * (deep ? 2 : 1);
  if (width * height * 3 != capacity || png_get_rowbytes(library, decoder->info) != row_bytes) {
    thaw_report_fail(decoder->report, "the buffer has %zu bytes", capacity);
    fail(decoder, THAW_IMAGE_BAD_CALL);
  }
  bool visible = !alpha, late = deep && decoder->options->stretch;
  bool whole = passes > 1 || late, direct = !alpha && !deep;
  if (!direct) allocate_rows(decoder, whole ? height : 1, row_bytes, width);
  for (int pass = 0; pass < passes; pass++) {
    for (size_t y = 0; y < height; y++) {
      uint8_t *row = pixels + y * width * 3;
      uint8_t *target = direct ? row : decoder->rows + (whole ? y * row_bytes : 0);
      png_read_row(library, target, NULL);
      if (direct || pass < passes - 1) continue;
      if (deep) note_largest(decoder, target, width * channels, channels);
      if (!late) finish_row(decoder, target, row, width, channels, deep, &visible);
    }
  }
  // How far samples are spread is known only now.
  for (size_t y = 0; late && y < height; y++) {
    finish_row(decoder, decoder->rows + y * row_bytes, pixels + y * width * 3, width, channels, deep,
               &visible);
  }
  thaw_report_visible(decoder->report, visible);
  if (deep && !late) thaw_report_depth(decoder->report, decoder->largest);
}

thaw_image_status thaw_png_decode(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t *pixels,
                                  size_t capacity, thaw_image_report *report) {
  png_decoder *decoder = make_decoder(bytes, count, options, report);
  if (decoder == NULL) return THAW_IMAGE_NO_MEMORY;
  if (setjmp(decoder->escape) == 0) {
    read_header(decoder);
    read_rows(decoder, pixels, capacity);
    decoder->complete = true;
    png_read_end(decoder->library, NULL);
    if (decoder->position < decoder->count) {
      thaw_report_warn(report, "%zu bytes after the end of the image",
                       decoder->count - decoder->position);
    }
  } else if (decoder->complete && decoder->status == THAW_IMAGE_TRUNCATED &&
             options->allow_missing_end) {
    decoder->status = THAW_IMAGE_OK;
    report->message[0] = 0;
    thaw_report_warn(report, "no end chunk, but the pixels are complete");
  }
  return destroy_decoder(decoder);
}

const char *thaw_png_version(void) { return png_get_libpng_ver(NULL); }
