// SPDX-License-Identifier: Apache-2.0
// TIFF (libtiff): the first page. 16-bit samples keep their high byte, CMYK is converted without a
// profile as for JPEG.
#ifndef THAW_TIFF_H
#define THAW_TIFF_H

#include "thaw_codecs.h"

/// Reads the header. `THAW_IMAGE_MISSING` in a build without libtiff.
thaw_image_status thaw_tiff_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report);

/// Decodes to interleaved 8-bit RGB on the background colour, unoriented; `pixels` holds exactly
/// width * height * 3 bytes.
thaw_image_status thaw_tiff_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report);

#endif
