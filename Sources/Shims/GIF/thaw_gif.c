// SPDX-License-Identifier: Apache-2.0
#include "thaw_gif.h"

#include <stdlib.h>

#include "thaw_report.h"

#if THAW_HAS_GIF
#include <gif_lib.h>

typedef struct {
  GifFileType *file;
  const uint8_t *bytes;
  size_t count, position;
  // The canvas, which the first frame may enlarge.
  uint32_t width, height;
  // The index of the transparent colour, -1 for none.
  int transparent;
} gif_reader;

static int on_read(GifFileType *file, GifByteType *target, int wanted) {
  gif_reader *reader = file->UserData;
  size_t left = reader->count - reader->position;
  size_t count = wanted < 0 ? 0 : (size_t)wanted < left ? (size_t)wanted : left;
  memcpy(target, reader->bytes + reader->position, count);
  reader->position += count;
  return (int)count;
}

static thaw_image_status fail_with(gif_reader *reader, int code, thaw_image_report *report) {
  switch (code) {
    case D_GIF_ERR_READ_FAILED:
    case D_GIF_ERR_EOF_TOO_SOON:
      thaw_report_fail(report, "data ends after %zu bytes", reader->count);
      return THAW_IMAGE_TRUNCATED;
    case D_GIF_ERR_NOT_ENOUGH_MEM:
      thaw_report_fail(report, "the GIF library ran out of memory");
      return THAW_IMAGE_NO_MEMORY;
    default: {
      const char *text = GifErrorString(code);
      thaw_report_fail(report, "%s", text != NULL ? text : "the data contradict the format");
      return THAW_IMAGE_CORRUPT;
    }
  }
}

// The blocks before the first frame; of these only a graphics control says something about pixels.
static thaw_image_status read_extension(gif_reader *reader, thaw_image_report *report) {
  GifFileType *file = reader->file;
  GifByteType *block = NULL;
  int code = 0;
  if (DGifGetExtension(file, &code, &block) == GIF_ERROR) return fail_with(reader, file->Error, report);
  while (block != NULL) {
    GraphicsControlBlock control;
    if (code == GRAPHICS_EXT_FUNC_CODE &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
      reader->transparent = control.TransparentColor;
    }
    if (DGifGetExtensionNext(file, &block) == GIF_ERROR) return fail_with(reader, file->Error, report);
  }
  return THAW_IMAGE_OK;
}

static thaw_image_status open_frame(gif_reader *reader, const thaw_decode_options *options,
                                    thaw_image_report *report) {
  thaw_report_clear(report);
  reader->transparent = NO_TRANSPARENT_COLOR;
  int code = 0;
  reader->file = DGifOpen(reader, on_read, &code);
  if (reader->file == NULL) return fail_with(reader, code, report);
  GifFileType *file = reader->file;
  for (;;) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(file, &type) == GIF_ERROR) return fail_with(reader, file->Error, report);
    if (type == EXTENSION_RECORD_TYPE) {
      thaw_image_status status = read_extension(reader, report);
      if (status != THAW_IMAGE_OK) return status;
    } else if (type == IMAGE_DESC_RECORD_TYPE) {
      break;
    } else if (type == TERMINATE_RECORD_TYPE) {
      thaw_report_fail(report, "it has no frame");
      return THAW_IMAGE_CORRUPT;
    }
  }
  if (DGifGetImageDesc(file) == GIF_ERROR) return fail_with(reader, file->Error, report);
  const GifImageDesc *frame = &file->Image;
  if (frame->Width <= 0 || frame->Height <= 0 || frame->Left < 0 || frame->Top < 0) {
    thaw_report_fail(report, "the first frame has %d x %d pixels", frame->Width, frame->Height);
    return THAW_IMAGE_CORRUPT;
  }
  uint32_t right = (uint32_t)frame->Left + (uint32_t)frame->Width;
  uint32_t bottom = (uint32_t)frame->Top + (uint32_t)frame->Height;
  reader->width = file->SWidth > 0 && (uint32_t)file->SWidth > right ? (uint32_t)file->SWidth : right;
  reader->height =
      file->SHeight > 0 && (uint32_t)file->SHeight > bottom ? (uint32_t)file->SHeight : bottom;
  if (!thaw_size_allowed(reader->width, reader->height, options->max_pixels)) {
    return thaw_report_size(report, reader->width, reader->height);
  }
  return THAW_IMAGE_OK;
}

static thaw_image_status close_reader(gif_reader *reader, thaw_image_status status) {
  int code = 0;
  if (reader->file != NULL) DGifCloseFile(reader->file, &code);
  return status;
}

thaw_image_status thaw_gif_probe(const uint8_t *bytes, size_t count,
                                 const thaw_decode_options *options, thaw_image_info *info,
                                 thaw_image_report *report) {
  gif_reader reader = {.bytes = bytes, .count = count};
  thaw_image_status status = open_frame(&reader, options, report);
  if (status == THAW_IMAGE_OK) {
    *info = (thaw_image_info){.width = reader.width,
                              .height = reader.height,
                              .channels = 1,
                              .bits = 8,
                              .orientation = 1,
                              .has_alpha = reader.transparent >= 0,
                              .is_progressive = reader.file->Image.Interlace};
  }
  return close_reader(&reader, status);
}

// The colours of the indices: the frame's own or the file's; without either the index is a grey.
static void fill_table(const gif_reader *reader, const thaw_decode_options *options,
                       uint8_t table[256][3]) {
  const ColorMapObject *map = reader->file->Image.ColorMap;
  if (map == NULL) map = reader->file->SColorMap;
  memset(table, 0, 256 * 3);
  for (int index = 0; index < 256; index++) {
    if (map == NULL) {
      memset(table[index], index, 3);
    } else if (index < map->ColorCount) {
      GifColorType colour = map->Colors[index];
      table[index][0] = colour.Red;
      table[index][1] = colour.Green;
      table[index][2] = colour.Blue;
    }
  }
  if (reader->transparent >= 0 && reader->transparent < 256) {
    memcpy(table[reader->transparent], options->background, 3);
  }
}

static thaw_image_status read_rows(gif_reader *reader, const thaw_decode_options *options,
                                   uint8_t *pixels, thaw_image_report *report) {
  static const uint32_t starts[4] = {0, 4, 2, 1}, steps[4] = {8, 8, 4, 2};
  GifFileType *file = reader->file;
  uint8_t table[256][3];
  fill_table(reader, options, table);
  // What the frame does not cover is transparent, or of the first colour.
  const uint8_t *around = reader->transparent >= 0 ? options->background : table[0];
  size_t whole = (size_t)reader->width * reader->height;
  for (size_t index = 0; index < whole; index++) memcpy(pixels + index * 3, around, 3);
  uint32_t width = (uint32_t)file->Image.Width, height = (uint32_t)file->Image.Height;
  GifPixelType *row = malloc(width);
  if (row == NULL) {
    thaw_report_fail(report, "no memory for a row of pixels");
    return THAW_IMAGE_NO_MEMORY;
  }
  bool interlaced = file->Image.Interlace, visible = reader->transparent < 0;
  for (int pass = 0; pass < (interlaced ? 4 : 1); pass++) {
    for (uint32_t y = interlaced ? starts[pass] : 0; y < height; y += interlaced ? steps[pass] : 1) {
      if (DGifGetLine(file, row, (int)width) == GIF_ERROR) {
        free(row);
        return fail_with(reader, file->Error, report);
      }
      size_t at = ((size_t)file->Image.Top + y) * reader->width + (size_t)file->Image.Left;
      for (uint32_t x = 0; x < width; x++) {
        visible |= row[x] != reader->transparent;
        memcpy(pixels + (at + x) * 3, table[row[x]], 3);
      }
    }
  }
  free(row);
  thaw_report_visible(report, visible);
  return THAW_IMAGE_OK;
}

thaw_image_status thaw_gif_decode(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t *pixels,
                                  size_t capacity, thaw_image_report *report) {
  gif_reader reader = {.bytes = bytes, .count = count};
  thaw_image_status status = open_frame(&reader, options, report);
  if (status == THAW_IMAGE_OK && capacity != (size_t)reader.width * reader.height * 3) {
    thaw_report_fail(report, "the buffer has %zu bytes", capacity);
    status = THAW_IMAGE_BAD_CALL;
  }
  if (status == THAW_IMAGE_OK) status = read_rows(&reader, options, pixels, report);
  return close_reader(&reader, status);
}

#else

THAW_MISSING_FORMAT(gif)

#endif
