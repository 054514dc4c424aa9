// SPDX-License-Identifier: Apache-2.0
#include "thaw_webp.h"

#include <stdlib.h>

#include "thaw_exif.h"
#include "thaw_report.h"

#if THAW_HAS_WEBP
#include <webp/decode.h>
#include <webp/demux.h>

enum { HEADER = 12 };

// Where the first frame lies on the canvas.
typedef struct {
  WebPDemuxer *demuxer;
  WebPIterator frame;
  uint32_t width, height;
  bool has_alpha, is_animated;
} webp_image;

static thaw_image_status fail(thaw_image_report *report, thaw_image_status status,
                              const char *text) {
  thaw_report_fail(report, "%s", text);
  return status;
}

static thaw_image_status truncated(thaw_image_report *report, size_t count) {
  thaw_report_fail(report, "data ends after %zu bytes", count);
  return THAW_IMAGE_TRUNCATED;
}

// The bytes that the file says it has.
static uint64_t declared(const uint8_t *bytes, size_t count) {
  if (count < HEADER) return HEADER;
  return 8 + (uint64_t)(bytes[4] | bytes[5] << 8 | bytes[6] << 16 | (uint32_t)bytes[7] << 24);
}

static thaw_image_status open_image(const uint8_t *bytes, size_t count,
                                    const thaw_decode_options *options, webp_image *image,
                                    thaw_image_report *report) {
  memset(image, 0, sizeof *image);
  thaw_report_clear(report);
  uint64_t size = declared(bytes, count);
  if (size > count) return truncated(report, count);
  // What follows belongs to nobody.
  WebPData data = {bytes, (size_t)size};
  WebPDemuxState state = WEBP_DEMUX_PARSING_HEADER;
  image->demuxer = WebPDemuxPartial(&data, &state);
  if (state == WEBP_DEMUX_PARSE_ERROR) return fail(report, THAW_IMAGE_CORRUPT, "no valid container");
  // What is missing may be the orientation, which stands at the end.
  if (image->demuxer == NULL || state != WEBP_DEMUX_DONE) return truncated(report, count);
  image->width = WebPDemuxGetI(image->demuxer, WEBP_FF_CANVAS_WIDTH);
  image->height = WebPDemuxGetI(image->demuxer, WEBP_FF_CANVAS_HEIGHT);
  if (image->width == 0 || image->height == 0) return truncated(report, count);
  if (!thaw_size_allowed(image->width, image->height, options->max_pixels)) {
    return thaw_report_size(report, image->width, image->height);
  }
  if (!WebPDemuxGetFrame(image->demuxer, 1, &image->frame)) return truncated(report, count);
  WebPIterator *frame = &image->frame;
  if (!frame->complete) return truncated(report, count);
  if (frame->width <= 0 || frame->height <= 0 || frame->x_offset < 0 || frame->y_offset < 0 ||
      (uint64_t)frame->x_offset + (uint64_t)frame->width > image->width ||
      (uint64_t)frame->y_offset + (uint64_t)frame->height > image->height) {
    return fail(report, THAW_IMAGE_CORRUPT, "the first frame leaves the canvas");
  }
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &features) != VP8_STATUS_OK) {
    return fail(report, THAW_IMAGE_CORRUPT, "the first frame has no valid header");
  }
  if (features.width != frame->width || features.height != frame->height) {
    return fail(report, THAW_IMAGE_CORRUPT, "the first frame has another size than its header says");
  }
  uint32_t flags = WebPDemuxGetI(image->demuxer, WEBP_FF_FORMAT_FLAGS);
  image->is_animated = (flags & ANIMATION_FLAG) != 0;
  bool covers = (uint32_t)frame->width == image->width && (uint32_t)frame->height == image->height;
  image->has_alpha = frame->has_alpha || features.has_alpha || !covers;
  return THAW_IMAGE_OK;
}

static thaw_image_status close_image(webp_image *image, thaw_image_status status) {
  WebPDemuxReleaseIterator(&image->frame);
  WebPDemuxDelete(image->demuxer);
  return status;
}

static uint32_t stored_orientation(const webp_image *image, thaw_image_report *report) {
  static const char signature[6] = {'E', 'x', 'i', 'f', 0, 0};
  WebPChunkIterator chunk;
  uint32_t orientation = 1;
  if (WebPDemuxGetChunk(image->demuxer, "EXIF", 1, &chunk)) {
    const uint8_t *bytes = chunk.chunk.bytes;
    size_t count = chunk.chunk.size;
    // Some programs keep JPEG's signature in front.
    if (count >= sizeof signature && memcmp(bytes, signature, sizeof signature) == 0) {
      bytes += sizeof signature;
      count -= sizeof signature;
    }
    int32_t found = thaw_exif_orientation(bytes, count);
    if (found < 0) thaw_report_warn(report, "EXIF orientation ignored: not valid");
    if (found > 0) orientation = (uint32_t)found;
    WebPDemuxReleaseChunkIterator(&chunk);
    if (found != 0) return orientation;
  }
  if (WebPDemuxGetChunk(image->demuxer, "XMP ", 1, &chunk)) {
    int32_t found = thaw_xmp_orientation(chunk.chunk.bytes, chunk.chunk.size);
    if (found > 0) orientation = (uint32_t)found;
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  return orientation;
}

static void fill_camera(const webp_image *image, thaw_image_info *info) {
  static const char signature[6] = {'E', 'x', 'i', 'f', 0, 0};
  WebPChunkIterator chunk;
  if (!WebPDemuxGetChunk(image->demuxer, "EXIF", 1, &chunk)) return;
  const uint8_t *bytes = chunk.chunk.bytes;
  size_t count = chunk.chunk.size;
  bool prefixed = count >= sizeof signature && memcmp(bytes, signature, sizeof signature) == 0;
  size_t skipped = prefixed ? sizeof signature : 0;
  thaw_exif_camera(bytes + skipped, count - skipped, info->camera, sizeof info->camera);
  WebPDemuxReleaseChunkIterator(&chunk);
}

thaw_image_status thaw_webp_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report) {
  webp_image image;
  thaw_image_status status = open_image(bytes, count, options, &image, report);
  if (status == THAW_IMAGE_OK) {
    *info = (thaw_image_info){.width = image.width,
                              .height = image.height,
                              .channels = image.has_alpha ? 4 : 3,
                              .bits = 8,
                              .orientation = stored_orientation(&image, report),
                              .has_alpha = image.has_alpha,
                              .is_progressive = false};
    fill_camera(&image, info);
  }
  return close_image(&image, status);
}

static thaw_image_status decode_failure(VP8StatusCode code, size_t count,
                                        thaw_image_report *report) {
  switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return fail(report, THAW_IMAGE_NO_MEMORY, "the WebP library ran out of memory");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return truncated(report, count);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return fail(report, THAW_IMAGE_UNSUPPORTED, "this kind of WebP");
    default: return fail(report, THAW_IMAGE_CORRUPT, "the compressed data contradict themselves");
  }
}

// Decodes the frame to `target`, whose rows have `stride` bytes.
static VP8StatusCode decode_frame(const webp_image *image, WEBP_CSP_MODE mode, uint8_t *target,
                                  size_t stride, size_t size) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return VP8_STATUS_INVALID_PARAM;
  config.output.colorspace = mode;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = target;
  config.output.u.RGBA.stride = (int)stride;
  config.output.u.RGBA.size = size;
  return WebPDecode(image->frame.fragment.bytes, image->frame.fragment.size, &config);
}

static thaw_image_status decode_transparent(const webp_image *image, size_t count,
                                            const thaw_decode_options *options, uint8_t *pixels,
                                            thaw_image_report *report) {
  const WebPIterator *frame = &image->frame;
  size_t stride = (size_t)frame->width * 4, size = stride * (size_t)frame->height;
  uint8_t *rgba = malloc(size);
  if (rgba == NULL) return fail(report, THAW_IMAGE_NO_MEMORY, "no memory for the first frame");
  VP8StatusCode code = decode_frame(image, MODE_RGBA, rgba, stride, size);
  if (code != VP8_STATUS_OK) {
    free(rgba);
    return decode_failure(code, count, report);
  }
  size_t whole = (size_t)image->width * image->height;
  for (size_t index = 0; index < whole; index++) memcpy(pixels + index * 3, options->background, 3);
  for (size_t y = 0; y < (size_t)frame->height; y++) {
    size_t at = (y + (size_t)frame->y_offset) * image->width + (size_t)frame->x_offset;
    thaw_composite(rgba + y * stride, pixels + at * 3, (size_t)frame->width, options->background);
  }
  thaw_report_visible(report, thaw_any_visible(rgba, (size_t)frame->width * (size_t)frame->height));
  free(rgba);
  return THAW_IMAGE_OK;
}

thaw_image_status thaw_webp_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report) {
  webp_image image;
  thaw_image_status status = open_image(bytes, count, options, &image, report);
  if (status != THAW_IMAGE_OK) return close_image(&image, status);
  size_t stride = (size_t)image.width * 3;
  if (capacity != stride * image.height) {
    thaw_report_fail(report, "the buffer has %zu bytes", capacity);
    return close_image(&image, THAW_IMAGE_BAD_CALL);
  }
  if (image.has_alpha) {
    status = decode_transparent(&image, count, options, pixels, report);
  } else {
    VP8StatusCode code = decode_frame(&image, MODE_RGB, pixels, stride, capacity);
    if (code != VP8_STATUS_OK) status = decode_failure(code, count, report);
  }
  uint64_t size = declared(bytes, count);
  if (status == THAW_IMAGE_OK && size < count) {
    thaw_report_warn(report, "%zu bytes after the end of the image", count - (size_t)size);
  }
  return close_image(&image, status);
}

#else

THAW_MISSING_FORMAT(webp)

#endif
