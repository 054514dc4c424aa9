// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdlib.h>

#include "thaw_codecs.h"
#include "thaw_exif.h"
#include "thaw_report.h"
// jpeglib.h needs stdio.h first.
#include <jpeglib.h>

#include <jerror.h>

// Everything that must survive the jump lives in this heap block; its address is set before setjmp
// and never changed after it.
typedef struct {
  struct jpeg_decompress_struct library;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  const uint8_t *bytes;
  size_t count;
  const thaw_decode_options *options;
  thaw_image_report *report;
  thaw_image_status status;
  // Whether the library exists (must be destroyed), entropy data is being read, the data ran out.
  bool created, decoding, ended;
  // One row of CMYK, when the image has four components.
  uint8_t *cmyk;
} jpeg_decoder;

static jpeg_decoder *owner(j_common_ptr library) { return (jpeg_decoder *)library->client_data; }

_Noreturn static void fail(jpeg_decoder *decoder, thaw_image_status status) {
  decoder->status = status;
  longjmp(decoder->escape, 1);
}

_Noreturn static void fail_truncated(jpeg_decoder *decoder) {
  bool headless = decoder->library.image_width == 0;
  thaw_report_fail(decoder->report, "%sdata ends after %zu bytes",
                   headless ? "no frame header, " : "", decoder->count);
  fail(decoder, THAW_IMAGE_TRUNCATED);
}

static const char *unsupported_frame(int marker) {
  switch (marker) {
    case 0xC3:
    case 0xCB: return "lossless JPEG";
    case 0xC5:
    case 0xC6:
    case 0xCD:
    case 0xCE: return "hierarchical JPEG";
    case 0xC7:
    case 0xCF: return "hierarchical lossless JPEG";
    default: return "this kind of JPEG frame";
  }
}

// The library's own words, without its prefix: the Swift error says "corrupt JPEG" already.
static const char *library_text(j_common_ptr library, char buffer[JMSG_LENGTH_MAX]) {
  static const char prefix[] = "Corrupt JPEG data: ";
  library->err->format_message(library, buffer);
  bool prefixed = strncmp(buffer, prefix, sizeof prefix - 1) == 0;
  return prefixed ? buffer + sizeof prefix - 1 : buffer;
}

// libjpeg's fatal errors.
_Noreturn static void on_error(j_common_ptr library) {
  jpeg_decoder *decoder = owner(library);
  thaw_image_report *report = decoder->report;
  int parameter = library->err->msg_parm.i[0];
  // The end marker that `on_fill` made up was taken for the contents of a segment.
  if (decoder->ended) fail_truncated(decoder);
  switch (library->err->msg_code) {
    case JERR_SOF_UNSUPPORTED:
      thaw_report_fail(report, "%s", unsupported_frame(parameter));
      fail(decoder, THAW_IMAGE_UNSUPPORTED);
    case JERR_BAD_PRECISION:
      thaw_report_fail(report, "%d-bit JPEG", parameter);
      fail(decoder, THAW_IMAGE_UNSUPPORTED);
    case JERR_COMPONENT_COUNT:
      thaw_report_fail(report, "JPEG with %d components", parameter);
      fail(decoder, THAW_IMAGE_UNSUPPORTED);
    case JERR_ARITH_NOTIMPL:
      thaw_report_fail(report, "arithmetic-coded JPEG");
      fail(decoder, THAW_IMAGE_UNSUPPORTED);
    case JERR_IMAGE_TOO_BIG:
      thaw_report_fail(report, "%u x %u pixels", decoder->library.image_width,
                       decoder->library.image_height);
      fail(decoder, THAW_IMAGE_TOO_LARGE);
    case JERR_EMPTY_IMAGE:
      thaw_report_fail(report, "the header says %u x %u pixels with %d components",
                       decoder->library.image_width, decoder->library.image_height,
                       decoder->library.num_components);
      fail(decoder, THAW_IMAGE_CORRUPT);
    case JERR_SOS_NO_SOF:
      thaw_report_fail(report, "no frame header before the first scan");
      fail(decoder, THAW_IMAGE_CORRUPT);
    case JERR_OUT_OF_MEMORY:
      thaw_report_fail(report, "the JPEG library ran out of memory");
      fail(decoder, THAW_IMAGE_NO_MEMORY);
    default: {
      char buffer[JMSG_LENGTH_MAX];
      thaw_report_fail(report, "%s", library_text(library, buffer));
      fail(decoder, THAW_IMAGE_CORRUPT);
    }
  }
}

// libjpeg's warnings. Those that mean pixels were invented are errors here; the rest are counted.
static void on_message(j_common_ptr library, int level) {
  if (level >= 0) return;
  jpeg_decoder *decoder = owner(library);
  char buffer[JMSG_LENGTH_MAX];
  const char *text = library_text(library, buffer);
  switch (library->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      if (decoder->ended) fail_truncated(decoder);
      thaw_report_fail(decoder->report, "%s", text);
      fail(decoder, THAW_IMAGE_CORRUPT);
    default:
      thaw_report_warn(decoder->report, "%s", text);
  }
}

static void on_output(j_common_ptr library) { (void)library; }

static void on_init_source(j_decompress_ptr library) { (void)library; }
static void on_term_source(j_decompress_ptr library) { (void)library; }

// The data ran out. Inside a scan the decoder may only be looking ahead, so it is given an end
// marker once: when bits are really missing it warns (see on_message), otherwise the pixels are whole.
static boolean on_fill(j_decompress_ptr library) {
  static const JOCTET end_marker[2] = {0xFF, JPEG_EOI};
  jpeg_decoder *decoder = owner((j_common_ptr)library);
  if (!decoder->decoding || decoder->ended || !decoder->options->allow_missing_end) {
    fail_truncated(decoder);
  }
  decoder->ended = true;
  decoder->source.next_input_byte = end_marker;
  decoder->source.bytes_in_buffer = sizeof end_marker;
  return TRUE;
}

static void on_skip(j_decompress_ptr library, long count) {
  jpeg_decoder *decoder = owner((j_common_ptr)library);
  if (count <= 0) return;
  if ((size_t)count > decoder->source.bytes_in_buffer) fail_truncated(decoder);
  decoder->source.next_input_byte += count;
  decoder->source.bytes_in_buffer -= (size_t)count;
}

static void on_progress(j_common_ptr library) {
  jpeg_decoder *decoder = owner(library);
  if (!library->is_decompressor) return;
  if ((uint32_t)decoder->library.input_scan_number > decoder->options->max_scans) {
    thaw_report_fail(decoder->report, "more than %u scans", decoder->options->max_scans);
    fail(decoder, THAW_IMAGE_TOO_MANY_SCANS);
  }
}

static void install_handlers(jpeg_decoder *decoder) {
  decoder->library.err = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit = on_error;
  decoder->errors.emit_message = on_message;
  decoder->errors.output_message = on_output;
  decoder->library.client_data = decoder;
}

static void install_source(jpeg_decoder *decoder) {
  decoder->source.init_source = on_init_source;
  decoder->source.fill_input_buffer = on_fill;
  decoder->source.skip_input_data = on_skip;
  decoder->source.resync_to_restart = jpeg_resync_to_restart;
  decoder->source.term_source = on_term_source;
  decoder->source.next_input_byte = decoder->bytes;
  decoder->source.bytes_in_buffer = decoder->count;
  decoder->library.src = &decoder->source;
  decoder->progress.progress_monitor = on_progress;
  decoder->library.progress = &decoder->progress;
}

static void read_header(jpeg_decoder *decoder) {
  struct jpeg_decompress_struct *library = &decoder->library;
  jpeg_create_decompress(library);
  decoder->created = true;
  install_source(decoder);
  jpeg_save_markers(library, JPEG_APP0 + 1, 0xFFFF);
  // With require_image an end marker before any scan is a fatal error.
  jpeg_read_header(library, TRUE);
  if (!thaw_size_allowed(library->image_width, library->image_height,
                         decoder->options->max_pixels)) {
    thaw_report_fail(decoder->report, "%u x %u pixels", library->image_width,
                     library->image_height);
    fail(decoder, THAW_IMAGE_TOO_LARGE);
  }
  int components = library->num_components;
  if (components != 1 && components != 3 && components != 4) {
    thaw_report_fail(decoder->report, "JPEG with %d components", components);
    fail(decoder, THAW_IMAGE_UNSUPPORTED);
  }
}

// EXIF's, or where it has none XMP's.
static uint32_t stored_orientation(jpeg_decoder *decoder) {
  static const char exif[6] = {'E', 'x', 'i', 'f', 0, 0};
  static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
  int32_t found = 0, described = 0;
  bool has_exif = false;
  for (jpeg_saved_marker_ptr marker = decoder->library.marker_list; marker; marker = marker->next) {
    size_t length = marker->data_length;
    if (!has_exif && length >= sizeof exif && memcmp(marker->data, exif, sizeof exif) == 0) {
      found = thaw_exif_orientation(marker->data + sizeof exif, length - sizeof exif);
      has_exif = true;
    } else if (described == 0 && length >= sizeof xmp &&
               memcmp(marker->data, xmp, sizeof xmp) == 0) {
      described = thaw_xmp_orientation(marker->data + sizeof xmp, length - sizeof xmp);
    }
  }
  if (found == 0) found = described;
  if (found < 0) thaw_report_warn(decoder->report, "EXIF orientation ignored: not valid");
  return found > 0 ? (uint32_t)found : 1;
}

static void fill_camera(jpeg_decoder *decoder, thaw_image_info *info) {
  static const char exif[6] = {'E', 'x', 'i', 'f', 0, 0};
  info->camera[0] = 0;
  for (jpeg_saved_marker_ptr marker = decoder->library.marker_list; marker; marker = marker->next) {
    size_t length = marker->data_length;
    if (length < sizeof exif || memcmp(marker->data, exif, sizeof exif) != 0) continue;
    thaw_exif_camera(marker->data + sizeof exif, length - sizeof exif, info->camera,
                     sizeof info->camera);
    return;
  }
}

static void fill_info(jpeg_decoder *decoder, thaw_image_info *info) {
  const struct jpeg_decompress_struct *library = &decoder->library;
  info->width = library->image_width;
  info->height = library->image_height;
  info->channels = (uint32_t)library->num_components;
  info->bits = (uint32_t)library->data_precision;
  info->orientation = stored_orientation(decoder);
  info->has_alpha = false;
  info->is_cmyk = library->num_components == 4;
  fill_camera(decoder, info);
  info->is_progressive = library->progressive_mode;
}

static jpeg_decoder *make_decoder(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_report *report) {
  thaw_report_clear(report);
  jpeg_decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) {
    thaw_report_fail(report, "no memory for the JPEG decoder");
    return NULL;
  }
  decoder->bytes = bytes;
  decoder->count = count;
  decoder->options = options;
  decoder->report = report;
  install_handlers(decoder);
  return decoder;
}

static thaw_image_status destroy_decoder(jpeg_decoder *decoder) {
  thaw_image_status status = decoder->status;
  if (decoder->created) jpeg_destroy_decompress(&decoder->library);
  free(decoder->cmyk);
  free(decoder);
  return status;
}

thaw_image_status thaw_jpeg_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report) {
  jpeg_decoder *decoder = make_decoder(bytes, count, options, report);
  if (decoder == NULL) return THAW_IMAGE_NO_MEMORY;
  if (setjmp(decoder->escape) == 0) {
    read_header(decoder);
    fill_info(decoder, info);
  }
  return destroy_decoder(decoder);
}

static void cmyk_to_rgb(uint8_t *cmyk, uint8_t *rgb, size_t width,
                        const thaw_ink_converter *inks) {
  if (inks != NULL) {
    for (size_t index = 0; index < width * 4; index++) cmyk[index] = 255u - cmyk[index];
    inks->convert(inks->context, cmyk, rgb, width);
    return;
  }
  for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
    // Adobe stores 255 - ink, so cmyk[3] is already 255 - K.
    uint32_t light = cmyk[3];
    for (int channel = 0; channel < 3; channel++) {
      rgb[channel] = (uint8_t)(light - thaw_multiply_255(255u - cmyk[channel], light));
    }
  }
}

static void configure_output(jpeg_decoder *decoder, size_t capacity) {
  struct jpeg_decompress_struct *library = &decoder->library;
  library->scale_num = 1;
  library->scale_denom = decoder->options->scale;
  library->dct_method = JDCT_ISLOW;
  library->do_fancy_upsampling = TRUE;
  library->out_color_space = library->num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_calc_output_dimensions(library);
  uint64_t needed = (uint64_t)library->output_width * library->output_height * 3;
  if (needed != capacity) {
    thaw_report_fail(decoder->report, "the buffer has %zu bytes", capacity);
    fail(decoder, THAW_IMAGE_BAD_CALL);
  }
  if (library->num_components != 4) return;
  decoder->cmyk = malloc((size_t)library->output_width * 4);
  if (decoder->cmyk == NULL) {
    thaw_report_fail(decoder->report, "no memory for a row of pixels");
    fail(decoder, THAW_IMAGE_NO_MEMORY);
  }
}

static void read_rows(jpeg_decoder *decoder, uint8_t *pixels) {
  enum { BATCH = 16 };
  struct jpeg_decompress_struct *library = &decoder->library;
  size_t stride = (size_t)library->output_width * 3;
  while (library->output_scanline < library->output_height) {
    uint8_t *row = pixels + (size_t)library->output_scanline * stride;
    if (decoder->cmyk != NULL) {
      jpeg_read_scanlines(library, &decoder->cmyk, 1);
      cmyk_to_rgb(decoder->cmyk, row, library->output_width, decoder->options->inks);
      continue;
    }
    JSAMPROW rows[BATCH];
    JDIMENSION left = library->output_height - library->output_scanline;
    JDIMENSION batch = left < BATCH ? left : BATCH;
    for (JDIMENSION index = 0; index < batch; index++) rows[index] = row + index * stride;
    jpeg_read_scanlines(library, rows, batch);
  }
}

// A component no scan mentions is grey without a warning; a progressive file that was cut between
// two scans is blurred without one. Neither is the photo.
static void check_complete(jpeg_decoder *decoder) {
  const struct jpeg_decompress_struct *library = &decoder->library;
  bool complete = true;
  for (int index = 0; index < library->num_components; index++) {
    if (library->comp_info[index].quant_table == NULL) complete = false;
    if (!decoder->ended || library->coef_bits == NULL) continue;
    for (int bit = 0; bit < DCTSIZE2; bit++) {
      if (library->coef_bits[index][bit] != 0) complete = false;
    }
  }
  if (complete) return;
  if (decoder->ended) fail_truncated(decoder);
  thaw_report_fail(decoder->report, "a colour component has no data");
  fail(decoder, THAW_IMAGE_CORRUPT);
}

thaw_image_status thaw_jpeg_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report) {
  jpeg_decoder *decoder = make_decoder(bytes, count, options, report);
  if (decoder == NULL) return THAW_IMAGE_NO_MEMORY;
  if (setjmp(decoder->escape) == 0) {
    read_header(decoder);
    configure_output(decoder, capacity);
    decoder->decoding = true;
    jpeg_start_decompress(&decoder->library);
    read_rows(decoder, pixels);
    if (decoder->cmyk != NULL && !decoder->library.saw_Adobe_marker) {
      thaw_report_warn(report, "CMYK without Adobe's marker, taken as inverted as Adobe stores it");
    }
    check_complete(decoder);
    jpeg_finish_decompress(&decoder->library);
    if (decoder->ended) {
      thaw_report_warn(report, "no end marker, but the pixels are complete");
    } else if (decoder->source.bytes_in_buffer > 0) {
      thaw_report_warn(report, "%zu bytes after the end of the image",
                       decoder->source.bytes_in_buffer);
    }
  }
  return destroy_decoder(decoder);
}

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

const char *thaw_jpeg_description(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
  return "libjpeg " TEXT(JPEG_LIB_VERSION);
#endif
}
