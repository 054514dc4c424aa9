// SPDX-License-Identifier: Apache-2.0
// GIF (giflib): the first frame on its canvas.
#ifndef THAW_GIF_H
#define THAW_GIF_H

#include "thaw_codecs.h"

/// Reads the header. `THAW_IMAGE_MISSING` in a build without giflib.
thaw_image_status thaw_gif_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report);

/// Decodes to interleaved 8-bit RGB on the background colour, unoriented; `pixels` holds exactly
/// width * height * 3 bytes.
thaw_image_status thaw_gif_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report);

#endif
