// SPDX-License-Identifier: Apache-2.0
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

#include "thaw_codecs.h"
#include "thaw_report.h"
// jpeglib.h needs stdio.h first.
#include <jpeglib.h>

void thaw_image_free(uint8_t *encoded) { free(encoded); }

// The encoded bytes so far. libjpeg's own memory destination loses track of its buffer when it
// fails while growing, so both encoders share this one.
typedef struct {
  uint8_t *bytes;
  size_t count, capacity;
} growing_buffer;

static bool reserve(growing_buffer *buffer, size_t extra) {
  if (extra <= buffer->capacity - buffer->count) return true;
  size_t capacity = (buffer->count + extra) * 2;
  uint8_t *grown = realloc(buffer->bytes, capacity);
  if (grown == NULL) return false;
  buffer->bytes = grown;
  buffer->capacity = capacity;
  return true;
}

typedef struct {
  struct jpeg_compress_struct library;
  struct jpeg_error_mgr errors;
  struct jpeg_destination_mgr destination;
  jmp_buf escape;
  thaw_image_report *report;
  growing_buffer output;
  bool created, failed;
} jpeg_encoder;

_Noreturn static void on_jpeg_error(j_common_ptr library) {
  jpeg_encoder *encoder = library->client_data;
  char text[JMSG_LENGTH_MAX];
  library->err->format_message(library, text);
  thaw_report_fail(encoder->report, "%.*s", THAW_MESSAGE_CAPACITY - 1, text);
  encoder->failed = true;
  longjmp(encoder->escape, 1);
}

static void on_jpeg_message(j_common_ptr library, int level) {
  (void)library;
  (void)level;
}

static void on_jpeg_output(j_common_ptr library) { (void)library; }

// libjpeg fills `free_in_buffer` bytes and then calls; the whole of it counts as written.
static void open_window(jpeg_encoder *encoder) {
  enum { WINDOW = 1 << 16 };
  if (!reserve(&encoder->output, WINDOW)) {
    thaw_report_fail(encoder->report, "no memory for the encoded image");
    encoder->failed = true;
    longjmp(encoder->escape, 1);
  }
  encoder->destination.next_output_byte = encoder->output.bytes + encoder->output.count;
  encoder->destination.free_in_buffer = encoder->output.capacity - encoder->output.count;
}

static void on_jpeg_start(j_compress_ptr library) { open_window(library->client_data); }

static boolean on_jpeg_full(j_compress_ptr library) {
  jpeg_encoder *encoder = library->client_data;
  encoder->output.count = encoder->output.capacity;
  open_window(encoder);
  return TRUE;
}

static void on_jpeg_end(j_compress_ptr library) {
  jpeg_encoder *encoder = library->client_data;
  encoder->output.count = encoder->output.capacity - encoder->destination.free_in_buffer;
}

static void write_jpeg(jpeg_encoder *encoder, const uint8_t *pixels, uint32_t width,
                       uint32_t height, uint32_t quality) {
  struct jpeg_compress_struct *library = &encoder->library;
  jpeg_create_compress(library);
  encoder->created = true;
  encoder->destination.init_destination = on_jpeg_start;
  encoder->destination.empty_output_buffer = on_jpeg_full;
  encoder->destination.term_destination = on_jpeg_end;
  library->dest = &encoder->destination;
  library->image_width = width;
  library->image_height = height;
  library->input_components = 3;
  library->in_color_space = JCS_RGB;
  jpeg_set_defaults(library);
  jpeg_set_quality(library, (int)quality, TRUE);
  jpeg_start_compress(library, TRUE);
  while (library->next_scanline < height) {
    // libjpeg's row type is not const, but compression only reads it.
    JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)library->next_scanline * width * 3);
    jpeg_write_scanlines(library, &row, 1);
  }
  jpeg_finish_compress(library);
}

thaw_image_status thaw_jpeg_encode(const uint8_t *pixels, uint32_t width, uint32_t height,
                                   uint32_t quality, uint8_t **encoded, size_t *encoded_count,
                                   thaw_image_report *report) {
  thaw_report_clear(report);
  *encoded = NULL;
  *encoded_count = 0;
  jpeg_encoder *encoder = calloc(1, sizeof *encoder);
  if (encoder == NULL) return THAW_IMAGE_NO_MEMORY;
  encoder->report = report;
  encoder->library.err = jpeg_std_error(&encoder->errors);
  encoder->errors.error_exit = on_jpeg_error;
  encoder->errors.emit_message = on_jpeg_message;
  encoder->errors.output_message = on_jpeg_output;
  encoder->library.client_data = encoder;
  if (setjmp(encoder->escape) == 0) write_jpeg(encoder, pixels, width, height, quality);
  bool failed = encoder->failed;
  if (encoder->created) jpeg_destroy_compress(&encoder->library);
  if (failed) {
    free(encoder->output.bytes);
  } else {
    *encoded = encoder->output.bytes;
    *encoded_count = encoder->output.count;
  }
  free(encoder);
  return failed ? THAW_IMAGE_UNSUPPORTED : THAW_IMAGE_OK;
}

typedef struct {
  png_structp library;
  png_infop info;
  jmp_buf escape;
  thaw_image_report *report;
  growing_buffer output;
  bool failed;
} png_encoder;

_Noreturn static void on_png_error(png_structp library, png_const_charp text) {
  png_encoder *encoder = png_get_error_ptr(library);
  thaw_report_fail(encoder->report, "%s", text);
  encoder->failed = true;
  longjmp(encoder->escape, 1);
}

static void on_png_warning(png_structp library, png_const_charp text) {
  (void)library;
  (void)text;
}

static void on_png_write(png_structp library, png_bytep source, size_t count) {
  png_encoder *encoder = png_get_io_ptr(library);
  if (!reserve(&encoder->output, count)) png_error(library, "no memory for the encoded image");
  memcpy(encoder->output.bytes + encoder->output.count, source, count);
  encoder->output.count += count;
}

static void on_png_flush(png_structp library) { (void)library; }

static void write_png(png_encoder *encoder, const uint8_t *pixels, uint32_t width,
                      uint32_t height) {
  encoder->library =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, encoder, on_png_error, on_png_warning);
  if (encoder->library != NULL) encoder->info = png_create_info_struct(encoder->library);
  if (encoder->info == NULL) {
    thaw_report_fail(encoder->report, "no memory for the PNG encoder");
    encoder->failed = true;
    return;
  }
  png_set_write_fn(encoder->library, encoder, on_png_write, on_png_flush);
  png_set_IHDR(encoder->library, encoder->info, width, height, 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(encoder->library, encoder->info);
  for (size_t y = 0; y < height; y++) {
    png_write_row(encoder->library, pixels + y * width * 3);
  }
  png_write_end(encoder->library, NULL);
}

thaw_image_status thaw_png_encode(const uint8_t *pixels, uint32_t width, uint32_t height,
                                  uint8_t **encoded, size_t *encoded_count,
                                  thaw_image_report *report) {
  thaw_report_clear(report);
  *encoded = NULL;
  *encoded_count = 0;
  png_encoder *encoder = calloc(1, sizeof *encoder);
  if (encoder == NULL) return THAW_IMAGE_NO_MEMORY;
  encoder->report = report;
  if (setjmp(encoder->escape) == 0) write_png(encoder, pixels, width, height);
  bool failed = encoder->failed;
  if (encoder->library != NULL) png_destroy_write_struct(&encoder->library, &encoder->info);
  if (failed) {
    free(encoder->output.bytes);
  } else {
    *encoded = encoder->output.bytes;
    *encoded_count = encoder->output.count;
  }
  free(encoder);
  return failed ? THAW_IMAGE_UNSUPPORTED : THAW_IMAGE_OK;
}
