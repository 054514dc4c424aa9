// SPDX-License-Identifier: Apache-2.0
#include "thaw_tiff.h"

#include <stdlib.h>

#include "thaw_exif.h"
#include "thaw_report.h"

#if THAW_HAS_TIFF
#include <tiffio.h>

// Version 4.5.0 bounds what one call may allocate and gives every file its own handlers.
#if TIFFLIB_VERSION >= 20221213
#define HAS_OPEN_OPTIONS 1
#else
#define HAS_OPEN_OPTIONS 0
#endif

typedef struct {
  TIFF *file;
  const uint8_t *bytes;
  size_t count, position;
  thaw_image_report *report;
  // An error was reported; warnings that follow are not of interest.
  bool failed;

  uint32_t width, height, block_width, block_rows;
  uint16_t samples, bits, photometric, planar, compression, orientation;
  // What the sample behind the colours is: -1 nothing, otherwise libtiff's EXTRASAMPLE.
  int alpha;
  bool is_tiled;
  const uint16_t *map[3];
  // Of 16-bit samples: the largest, and how far they are shifted to become bytes.
  uint32_t largest, shift;
  // A row of inks, where a profile makes colours of them.
  uint8_t *inks;
  // Whether any pixel was not transparent.
  bool visible;
} tiff_reader;

static tsize_t on_read(thandle_t handle, tdata_t target, tsize_t wanted) {
  tiff_reader *reader = (tiff_reader *)handle;
  size_t left = reader->position < reader->count ? reader->count - reader->position : 0;
  size_t count = wanted < 0 ? 0 : (size_t)wanted < left ? (size_t)wanted : left;
  memcpy(target, reader->bytes + reader->position, count);
  reader->position += count;
  return (tsize_t)count;
}

static tsize_t on_write(thandle_t handle, tdata_t source, tsize_t count) {
  (void)handle, (void)source, (void)count;
  return -1;
}

static toff_t on_seek(thandle_t handle, toff_t offset, int origin) {
  tiff_reader *reader = (tiff_reader *)handle;
  uint64_t base = origin == SEEK_CUR ? reader->position : origin == SEEK_END ? reader->count : 0;
  uint64_t place = base + offset;
  // Beyond the end nothing is read.
  reader->position = place > reader->count ? reader->count : (size_t)place;
  return place;
}

static int on_close(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t on_size(thandle_t handle) { return ((tiff_reader *)handle)->count; }

#if HAS_OPEN_OPTIONS
static int on_error(TIFF *file, void *data, const char *module, const char *format, va_list list) {
  (void)file, (void)module;
  tiff_reader *reader = data;
  reader->failed = true;
  if (reader->report->message[0] == 0) {
    vsnprintf(reader->report->message, sizeof reader->report->message, format, list);
  }
  return 1;
}

static int on_warning(TIFF *file, void *data, const char *module, const char *format,
                      va_list list) {
  (void)file, (void)module;
  tiff_reader *reader = data;
  char text[THAW_MESSAGE_CAPACITY];
  vsnprintf(text, sizeof text, format, list);
  // Tags of cameras and programs, which are no concern of the pixels.
  if (strstr(text, "Unknown field with tag") == NULL) thaw_report_warn(reader->report, "%s", text);
  return 1;
}
#endif

static thaw_image_status fail(tiff_reader *reader, thaw_image_status status, const char *text) {
  reader->report->message[0] = 0;
  thaw_report_fail(reader->report, "%s", text);
  return status;
}

// libtiff's last words, or ours.
static thaw_image_status corrupt(tiff_reader *reader, const char *text) {
  const char *message = reader->report->message;
  bool is_short = strstr(message, "got") != NULL && strstr(message, "expected") != NULL;
  if (strstr(message, "emory") != NULL && strstr(message, "exceed") == NULL &&
      strstr(message, "larger") == NULL && strstr(message, "(0 elements") == NULL) {
    return THAW_IMAGE_NO_MEMORY;
  }
  if (is_short || strstr(message, "annot read") != NULL) {
    reader->report->message[0] = 0;
    thaw_report_fail(reader->report, "data ends after %zu bytes", reader->count);
    return THAW_IMAGE_TRUNCATED;
  }
  if (message[0] == 0) thaw_report_fail(reader->report, "%s", text);
  return THAW_IMAGE_CORRUPT;
}

static void open_file(tiff_reader *reader, uint64_t max_pixels) {
#if HAS_OPEN_OPTIONS
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (options == NULL) return;
  uint64_t limit = max_pixels * 16 + (1 << 20);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, limit > INT64_MAX ? INT64_MAX : (tmsize_t)limit);
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, reader);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, reader);
  reader->file = TIFFClientOpenExt("photo", "rm", reader, on_read, on_write, on_seek, on_close,
                                   on_size, NULL, NULL, options);
  TIFFOpenOptionsFree(options);
#else
  (void)max_pixels;
  TIFFSetErrorHandler(NULL);
  TIFFSetWarningHandler(NULL);
  reader->file = TIFFClientOpen("photo", "rm", reader, on_read, on_write, on_seek, on_close, on_size,
                                NULL, NULL);
#endif
}

static uint16_t colours_of(const tiff_reader *reader) {
  switch (reader->photometric) {
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR: return 3;
    case PHOTOMETRIC_SEPARATED: return 4;
    default: return 1;
  }
}

static void read_fields(tiff_reader *reader) {
  TIFF *file = reader->file;
  TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &reader->width);
  TIFFGetField(file, TIFFTAG_IMAGELENGTH, &reader->height);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &reader->samples);
  TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &reader->bits);
  TIFFGetFieldDefaulted(file, TIFFTAG_PLANARCONFIG, &reader->planar);
  TIFFGetFieldDefaulted(file, TIFFTAG_COMPRESSION, &reader->compression);
  if (!TIFFGetField(file, TIFFTAG_ORIENTATION, &reader->orientation)) {
    uint32_t count = 0;
    const uint8_t *xmp = NULL;
    if (TIFFGetField(file, TIFFTAG_XMLPACKET, &count, &xmp)) {
      int32_t found = thaw_xmp_orientation(xmp, count);
      if (found > 0) reader->orientation = (uint16_t)found;
    }
  }
  if (!TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &reader->photometric)) {
    reader->photometric = reader->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
  }
  reader->is_tiled = TIFFIsTiled(file) != 0;
}

static thaw_image_status check_kind(tiff_reader *reader) {
  TIFF *file = reader->file;
  uint32_t subfile = 0;
  uint8_t *version = NULL;
  TIFFGetFieldDefaulted(file, TIFFTAG_SUBFILETYPE, &subfile);
  if ((subfile & FILETYPE_REDUCEDIMAGE) != 0 ||
      TIFFGetField(file, TIFFTAG_DNGVERSION, &version) ||
      (reader->count > 10 && memcmp(reader->bytes + 8, "CR", 2) == 0)) {
    return fail(reader, THAW_IMAGE_UNSUPPORTED, "a camera's raw file");
  }
  if (!TIFFIsCODECConfigured(reader->compression)) {
    thaw_report_fail(reader->report, "TIFF with compression %u", reader->compression);
    return THAW_IMAGE_UNSUPPORTED;
  }
  uint16_t format = SAMPLEFORMAT_UINT;
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &format);
  bool known_bits = reader->bits == 1 || reader->bits == 2 || reader->bits == 4 ||
                    reader->bits == 8 || reader->bits == 16;
  if ((format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) || !known_bits) {
    thaw_report_fail(reader->report, "TIFF with %u-bit %s samples", reader->bits,
                     format == SAMPLEFORMAT_IEEEFP ? "floating-point" : "integer");
    return THAW_IMAGE_UNSUPPORTED;
  }
  return THAW_IMAGE_OK;
}

static thaw_image_status check_colours(tiff_reader *reader) {
  TIFF *file = reader->file;
  switch (reader->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_RGB: break;
    case PHOTOMETRIC_SEPARATED: {
      uint16_t inks = INKSET_CMYK;
      TIFFGetFieldDefaulted(file, TIFFTAG_INKSET, &inks);
      if (inks != INKSET_CMYK) return fail(reader, THAW_IMAGE_UNSUPPORTED, "TIFF with other inks than CMYK");
      break;
    }
    case PHOTOMETRIC_PALETTE: {
      uint16_t *red, *green, *blue;
      if (!TIFFGetField(file, TIFFTAG_COLORMAP, &red, &green, &blue)) {
        return fail(reader, THAW_IMAGE_CORRUPT, "a palette image without a palette");
      }
      reader->map[0] = red, reader->map[1] = green, reader->map[2] = blue;
      if (reader->bits > 8) return fail(reader, THAW_IMAGE_UNSUPPORTED, "TIFF with a 16-bit palette");
      break;
    }
    case PHOTOMETRIC_YCBCR:
      if (reader->compression != COMPRESSION_JPEG) {
        return fail(reader, THAW_IMAGE_UNSUPPORTED, "TIFF with YCbCr that is not JPEG");
      }
      TIFFSetField(file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      break;
    default:
      thaw_report_fail(reader->report, "TIFF with colours of kind %u", reader->photometric);
      return THAW_IMAGE_UNSUPPORTED;
  }
  uint16_t colours = colours_of(reader);
  if (reader->samples < colours || reader->samples > colours + 4) {
    thaw_report_fail(reader->report, "TIFF with %u samples a pixel", reader->samples);
    return reader->samples < colours ? THAW_IMAGE_CORRUPT : THAW_IMAGE_UNSUPPORTED;
  }
  if (reader->samples > 1 && reader->bits < 8) {
    return fail(reader, THAW_IMAGE_UNSUPPORTED, "TIFF with several samples below 8 bits");
  }
  uint16_t extra_count = 0;
  uint16_t *extra = NULL;
  reader->alpha = -1;
  if (reader->samples > colours &&
      TIFFGetFieldDefaulted(file, TIFFTAG_EXTRASAMPLES, &extra_count, &extra) && extra_count > 0 &&
      (extra[0] == EXTRASAMPLE_ASSOCALPHA || extra[0] == EXTRASAMPLE_UNASSALPHA)) {
    reader->alpha = extra[0];
  }
  return THAW_IMAGE_OK;
}

static thaw_image_status open_reader(tiff_reader *reader, const uint8_t *bytes, size_t count,
                                     const thaw_decode_options *options,
                                     thaw_image_report *report) {
  thaw_report_clear(report);
  *reader = (tiff_reader){.bytes = bytes, .count = count, .report = report, .alpha = -1};
  open_file(reader, options->max_pixels);
  if (reader->file == NULL) return corrupt(reader, "no valid directory");
  read_fields(reader);
  if (reader->width == 0 || reader->height == 0) {
    return fail(reader, THAW_IMAGE_CORRUPT, "the first page has no pixels");
  }
  if (!thaw_size_allowed(reader->width, reader->height, options->max_pixels)) {
    return thaw_report_size(report, reader->width, reader->height);
  }
  thaw_image_status status = check_kind(reader);
  if (status == THAW_IMAGE_OK) status = check_colours(reader);
  // What went wrong on the way to usable fields cost no pixel.
  if (status == THAW_IMAGE_OK) report->message[0] = 0;
  return status;
}

static thaw_image_status close_reader(tiff_reader *reader, thaw_image_status status) {
  if (reader->file != NULL) TIFFClose(reader->file);
  return status;
}

thaw_image_status thaw_tiff_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report) {
  tiff_reader reader;
  thaw_image_status status = open_reader(&reader, bytes, count, options, report);
  if (status == THAW_IMAGE_OK) {
    bool turned = reader.orientation >= 1 && reader.orientation <= 8;
    *info = (thaw_image_info){.width = reader.width,
                              .height = reader.height,
                              .channels = reader.samples,
                              .bits = reader.bits,
                              .orientation = turned ? reader.orientation : 1,
                              .has_alpha = reader.alpha >= 0,
                              .is_cmyk = reader.photometric == PHOTOMETRIC_SEPARATED,
                              .is_progressive = false};
    thaw_exif_camera(bytes, count, info->camera, sizeof info->camera);
  }
  return close_reader(&reader, status);
}

// One sample as a byte: 16 bits keep their high byte, fewer than 8 are spread over 0 to 255, indices
// stay as they are.
static uint32_t sample_at(tiff_reader *reader, const uint8_t *row, size_t index) {
  switch (reader->bits) {
    case 8: return row[index];
    case 16: {
      uint16_t value;
      memcpy(&value, row + index * 2, 2);
      if (value > reader->largest) reader->largest = value;
      uint32_t byte = value >> reader->shift;
      return byte > 255 ? 255 : byte;
    }
    default: {
      size_t bit = index * reader->bits;
      uint32_t top = (1u << reader->bits) - 1;
      uint32_t value = (uint32_t)row[bit / 8] >> (8 - reader->bits - bit % 8) & top;
      return reader->photometric == PHOTOMETRIC_PALETTE ? value : value * 255 / top;
    }
  }
}

typedef struct {
  // The rows of the samples: one for all of them, or one each.
  const uint8_t *rows[8];
  bool separate;
} tiff_row;

static uint32_t sample(tiff_reader *reader, const tiff_row *row, size_t x, uint32_t index) {
  return row->separate ? sample_at(reader, row->rows[index], x)
                       : sample_at(reader, row->rows[0], x * reader->samples + index);
}

static void convert_pixel(tiff_reader *reader, const tiff_row *row, size_t x,
                          const uint8_t *background, uint8_t *rgb) {
  uint8_t rgba[4] = {0, 0, 0, 255};
  uint32_t colours = colours_of(reader);
  if (reader->photometric == PHOTOMETRIC_PALETTE) {
    uint32_t index = sample(reader, row, x, 0);
    for (int channel = 0; channel < 3; channel++) rgba[channel] = (uint8_t)(reader->map[channel][index] >> 8);
  } else if (colours == 1) {
    uint32_t grey = sample(reader, row, x, 0);
    if (reader->photometric == PHOTOMETRIC_MINISWHITE) grey = 255 - grey;
    memset(rgba, (int)grey, 3);
  } else if (colours == 4) {
    uint32_t light = 255 - sample(reader, row, x, 3);
    for (uint32_t channel = 0; channel < 3; channel++) {
      rgba[channel] = (uint8_t)(light - thaw_multiply_255(sample(reader, row, x, channel), light));
    }
  } else {
    for (uint32_t channel = 0; channel < 3; channel++) rgba[channel] = (uint8_t)sample(reader, row, x, channel);
  }
  if (reader->alpha < 0) {
    memcpy(rgb, rgba, 3);
    return;
  }
  // Transparency uses all its bits.
  uint32_t shift = reader->shift, largest = reader->largest;
  reader->shift = 8;
  uint32_t alpha = sample(reader, row, x, colours);
  reader->shift = shift, reader->largest = largest;
  rgba[3] = (uint8_t)alpha;
  reader->visible |= alpha != 0;
  if (reader->alpha == EXTRASAMPLE_ASSOCALPHA && alpha > 0) {
    for (int channel = 0; channel < 3; channel++) {
      uint32_t full = rgba[channel] * 255u / alpha;
      rgba[channel] = (uint8_t)(full > 255 ? 255 : full);
    }
  }
  thaw_composite(rgba, rgb, 1, background);
}

// A strip or a tile: its place, its extent, and how many bytes a row of it has.
typedef struct {
  uint32_t x, y, width, rows;
  size_t stride;
} tiff_block;

// A row of inks by a profile.
static void convert_inks(tiff_reader *reader, const tiff_row *row, size_t width,
                         const thaw_ink_converter *converter, uint8_t *target) {
  for (size_t x = 0; x < width; x++) {
    for (uint32_t ink = 0; ink < 4; ink++) {
      reader->inks[x * 4 + ink] = (uint8_t)sample(reader, row, x, ink);
    }
  }
  converter->convert(converter->context, reader->inks, target, width);
}

static void convert_block(tiff_reader *reader, const tiff_block *block, uint8_t *const *data,
                          const thaw_decode_options *options, uint8_t *pixels) {
  bool separate = reader->planar == PLANARCONFIG_SEPARATE && reader->samples > 1;
  // Eight-bit RGB needs no looking at single samples.
  bool plain = !separate && reader->bits == 8 && reader->samples == 3 && reader->alpha < 0 &&
               (reader->photometric == PHOTOMETRIC_RGB || reader->photometric == PHOTOMETRIC_YCBCR);
  for (uint32_t y = 0; y < block->rows; y++) {
    uint8_t *target = pixels + ((size_t)(block->y + y) * reader->width + block->x) * 3;
    tiff_row row = {.separate = separate};
    for (int index = 0; index < (separate ? reader->samples : 1); index++) {
      row.rows[index] = data[index] + y * block->stride;
    }
    if (plain) {
      memcpy(target, row.rows[0], (size_t)block->width * 3);
      continue;
    }
    if (reader->inks != NULL) {
      convert_inks(reader, &row, block->width, options->inks, target);
      continue;
    }
    for (uint32_t x = 0; x < block->width; x++) {
      convert_pixel(reader, &row, x, options->background, target + (size_t)x * 3);
    }
  }
}

static thaw_image_status read_block(tiff_reader *reader, uint32_t number, uint8_t *target,
                                    tmsize_t size, tmsize_t wanted) {
  memset(target, 0, (size_t)size);
  tmsize_t found = reader->is_tiled ? TIFFReadEncodedTile(reader->file, number, target, size)
                                    : TIFFReadEncodedStrip(reader->file, number, target, size);
  if (found < 0 || reader->failed) return corrupt(reader, "a part of the image cannot be read");
  if (found < wanted) {
    thaw_report_fail(reader->report, "data ends after %zu bytes", reader->count);
    return THAW_IMAGE_TRUNCATED;
  }
  return THAW_IMAGE_OK;
}

static thaw_image_status read_blocks(tiff_reader *reader, const thaw_decode_options *options,
                                     uint8_t *pixels) {
  TIFF *file = reader->file;
  if (reader->is_tiled) {
    if (!TIFFGetField(file, TIFFTAG_TILEWIDTH, &reader->block_width) ||
        !TIFFGetField(file, TIFFTAG_TILELENGTH, &reader->block_rows)) {
      return corrupt(reader, "tiles without a size");
    }
  } else {
    reader->block_width = reader->width;
    if (!TIFFGetFieldDefaulted(file, TIFFTAG_ROWSPERSTRIP, &reader->block_rows) ||
        reader->block_rows > reader->height) {
      reader->block_rows = reader->height;
    }
  }
  if (reader->block_width == 0 || reader->block_rows == 0) {
    return fail(reader, THAW_IMAGE_CORRUPT, "strips or tiles without a row");
  }
  if (!thaw_size_allowed(reader->block_width, reader->block_rows, options->max_pixels)) {
    return thaw_report_size(reader->report, reader->block_width, reader->block_rows);
  }
  bool separate = reader->planar == PLANARCONFIG_SEPARATE && reader->samples > 1;
  uint32_t planes = separate ? reader->samples : 1;
  uint64_t row_bits = (uint64_t)reader->block_width * reader->bits * (separate ? 1 : reader->samples);
  size_t stride = (size_t)((row_bits + 7) / 8);
  tmsize_t size = reader->is_tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  if (size <= 0 || (uint64_t)size < (uint64_t)stride * reader->block_rows) {
    return corrupt(reader, "strips or tiles that contradict the size");
  }
  uint32_t across = (reader->width - 1) / reader->block_width + 1;
  uint32_t down = (reader->height - 1) / reader->block_rows + 1;
  uint8_t *data[8] = {NULL};
  thaw_image_status status = THAW_IMAGE_OK;
  for (uint32_t plane = 0; plane < planes; plane++) {
    data[plane] = malloc((size_t)size);
    if (data[plane] == NULL) status = fail(reader, THAW_IMAGE_NO_MEMORY, "no memory for a strip");
  }
  for (uint32_t index = 0; index < across * down && status == THAW_IMAGE_OK; index++) {
    tiff_block block = {.x = index % across * reader->block_width,
                        .y = index / across * reader->block_rows,
                        .stride = stride};
    uint32_t left = reader->width - block.x, below = reader->height - block.y;
    block.width = left < reader->block_width ? left : reader->block_width;
    block.rows = below < reader->block_rows ? below : reader->block_rows;
    tmsize_t wanted = (tmsize_t)(stride * (reader->is_tiled ? reader->block_rows : block.rows));
    for (uint32_t plane = 0; plane < planes && status == THAW_IMAGE_OK; plane++) {
      status = read_block(reader, index + plane * across * down, data[plane], size, wanted);
    }
    if (status == THAW_IMAGE_OK) convert_block(reader, &block, data, options, pixels);
  }
  for (uint32_t plane = 0; plane < planes; plane++) free(data[plane]);
  return status;
}

// Reads the blocks; twice where it must be known first how far their samples are spread.
static thaw_image_status read_pixels(tiff_reader *reader, const thaw_decode_options *options,
                                     uint8_t *pixels) {
  reader->shift = 8;
  bool deep = reader->bits == 16, colours = reader->photometric == PHOTOMETRIC_SEPARATED;
  if (options->inks != NULL && colours && reader->alpha < 0) {
    reader->inks = malloc((size_t)reader->width * 4);
    if (reader->inks == NULL) return fail(reader, THAW_IMAGE_NO_MEMORY, "no memory for a row of inks");
  }
  thaw_image_status status = read_blocks(reader, options, pixels);
  if (status == THAW_IMAGE_OK && deep && !options->stretch) {
    thaw_report_depth(reader->report, reader->largest);
  }
  if (status == THAW_IMAGE_OK && deep && options->stretch) {
    reader->shift = thaw_stretch_shift(reader->largest);
    if (reader->shift != 8) status = read_blocks(reader, options, pixels);
  }
  free(reader->inks);
  reader->inks = NULL;
  return status;
}

thaw_image_status thaw_tiff_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report) {
  tiff_reader reader;
  thaw_image_status status = open_reader(&reader, bytes, count, options, report);
  if (status != THAW_IMAGE_OK) return close_reader(&reader, status);
  if (capacity != (size_t)reader.width * reader.height * 3) {
    thaw_report_fail(report, "the buffer has %zu bytes", capacity);
    return close_reader(&reader, THAW_IMAGE_BAD_CALL);
  }
  reader.failed = false;
  reader.visible = reader.alpha < 0;
  status = read_pixels(&reader, options, pixels);
  if (status == THAW_IMAGE_OK) thaw_report_visible(report, reader.visible);
  return close_reader(&reader, status);
}

#else

THAW_MISSING_FORMAT(tiff)

#endif
