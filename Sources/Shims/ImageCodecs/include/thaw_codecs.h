// SPDX-License-Identifier: Apache-2.0
// JPEG (libjpeg-turbo) and PNG (libpng) behind whole-image functions: buffers in, buffers out.
//
// Both libraries report errors by a long jump. Every setjmp is in this module, no function here
// calls back, and every path frees what it took, so a jump never crosses a caller's frame.
#ifndef THAW_CODECS_H
#define THAW_CODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How a call ended. Everything but `THAW_IMAGE_OK` leaves the output unspecified.
typedef enum {
  THAW_IMAGE_OK = 0,
  /// The data ends before the image does; `byte_count` of the report is where.
  THAW_IMAGE_TRUNCATED,
  /// The data contradicts the format.
  THAW_IMAGE_CORRUPT,
  /// A legal variant that this build cannot decode (12 bits, lossless, two components, ...).
  THAW_IMAGE_UNSUPPORTED,
  /// The header asks for more pixels, or a longer side, than allowed; nothing was allocated.
  THAW_IMAGE_TOO_LARGE,
  /// A progressive JPEG with more scans than allowed.
  THAW_IMAGE_TOO_MANY_SCANS,
  /// Memory ran out.
  THAW_IMAGE_NO_MEMORY,
  /// The caller's buffer or arguments do not fit the image (a programmer's error).
  THAW_IMAGE_BAD_CALL,
  /// The library for the format was not there when this was built.
  THAW_IMAGE_MISSING,
} thaw_image_status;

enum { THAW_MESSAGE_CAPACITY = 256 };

/// What happened, filled by every call.
typedef struct {
  /// Why the call failed; empty when it did not.
  char message[THAW_MESSAGE_CAPACITY];
  /// The first warning; empty when there was none.
  char first_warning[THAW_MESSAGE_CAPACITY];
  /// Number of things that were wrong but did not cost a pixel.
  uint32_t warning_count;
} thaw_image_report;

/// What the header says.
typedef struct {
  /// Size in pixels as stored, before the orientation is applied.
  uint32_t width, height;
  /// Components or channels as stored.
  uint32_t channels;
  /// Bits a channel as stored.
  uint32_t bits;
  /// EXIF orientation, 1 to 8; 1 when absent or invalid.
  uint32_t orientation;
  /// Whether pixels may be transparent (PNG alpha channel or tRNS).
  bool has_alpha;
  /// Whether colours are inks: cyan, magenta, yellow and black.
  bool is_cmyk;
  /// The camera, as EXIF has it; empty when it does not say.
  char camera[64];
  /// Progressive JPEG or interlaced PNG.
  bool is_progressive;
} thaw_image_info;

/// Makes red, green and blue of a row of inks (0 is none, 255 all of it). It never jumps.
typedef struct {
  void (*convert)(void *context, const uint8_t *cmyk, uint8_t *rgb, size_t width);
  void *context;
} thaw_ink_converter;

/// Limits and choices of a decode.
typedef struct {
  /// Largest accepted width * height.
  uint64_t max_pixels;
  /// Largest accepted number of JPEG scans.
  uint32_t max_scans;
  /// JPEG: decode at 1/scale of the size (1, 2, 4 or 8); sizes are rounded up.
  uint32_t scale;
  /// Whether a file whose pixels are complete may lack its end marker (then a warning).
  bool allow_missing_end;
  /// Colour under transparent pixels: red, green, blue.
  uint8_t background[3];
  /// Whether 16-bit samples are spread over 16 bits that use fewer (PNG, TIFF).
  bool stretch;
  /// How inks become colours; NULL for the usual formula.
  const thaw_ink_converter *inks;
} thaw_decode_options;

/// Reads a JPEG header up to the first scan.
thaw_image_status thaw_jpeg_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report);

/// Decodes a JPEG to interleaved 8-bit RGB, unoriented.
///
/// `pixels` holds exactly ceil(width / scale) * ceil(height / scale) * 3 bytes.
/// Grey is copied to the three channels. CMYK and YCCK are taken as Adobe stores them (inverted)
/// and converted without a profile: R = (255 - K) * (255 - C) / 255, rounded.
thaw_image_status thaw_jpeg_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report);

/// Reads a PNG header up to the first IDAT.
thaw_image_status thaw_png_probe(const uint8_t *bytes, size_t count,
                                 const thaw_decode_options *options, thaw_image_info *info,
                                 thaw_image_report *report);

/// Decodes a PNG to interleaved 8-bit RGB on the background colour, unoriented.
///
/// `pixels` holds exactly width * height * 3 bytes. 16-bit samples keep their high byte; gAMA and
/// profiles are ignored; transparency (tRNS compares at full depth) is composited at 8 bits.
thaw_image_status thaw_png_decode(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t *pixels,
                                  size_t capacity, thaw_image_report *report);

/// Encodes interleaved RGB as a baseline JPEG (4:2:0); `*encoded` is freed by `thaw_image_free`.
thaw_image_status thaw_jpeg_encode(const uint8_t *pixels, uint32_t width, uint32_t height,
                                   uint32_t quality, uint8_t **encoded, size_t *encoded_count,
                                   thaw_image_report *report);

/// Encodes interleaved RGB as an 8-bit PNG; `*encoded` is freed by `thaw_image_free`.
thaw_image_status thaw_png_encode(const uint8_t *pixels, uint32_t width, uint32_t height,
                                  uint8_t **encoded, size_t *encoded_count,
                                  thaw_image_report *report);

/// Frees what an encoder returned; NULL does nothing.
void thaw_image_free(uint8_t *encoded);

/// Orientation (1 to 8) in a TIFF structure as EXIF stores it; 0 when there is none, -1 when the
/// structure is broken or the value is not allowed. Reads nothing outside `bytes`.
int32_t thaw_exif_orientation(const uint8_t *bytes, size_t count);

/// Orientation (1 to 8) in an XMP packet; 0 when there is none, -1 when the value is not allowed.
int32_t thaw_xmp_orientation(const uint8_t *bytes, size_t count);

/// For example "libjpeg-turbo 2.1.5": what this was compiled with, which the library promises to keep.
const char *thaw_jpeg_description(void);
/// For example "1.6.39".
const char *thaw_png_version(void);

#endif
