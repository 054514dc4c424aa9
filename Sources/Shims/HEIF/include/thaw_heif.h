// SPDX-License-Identifier: Apache-2.0
// HEIC, HEIF and AVIF (libheif): the primary image, turned and cropped as the file says.
#ifndef THAW_HEIF_H
#define THAW_HEIF_H

#include "thaw_codecs.h"
#include "thaw_icc.h"

/// Reads the header. `THAW_IMAGE_MISSING` in a build without libheif.
thaw_image_status thaw_heif_probe(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, thaw_image_info *info,
                                  thaw_image_report *report);

/// Decodes to interleaved 8-bit RGB on the background colour, unoriented; `pixels` holds exactly
/// width * height * 3 bytes.
thaw_image_status thaw_heif_decode(const uint8_t *bytes, size_t count,
                                   const thaw_decode_options *options, uint8_t *pixels,
                                   size_t capacity, thaw_image_report *report);

/// The colour profile of the primary image, as `thaw_icc_find`.
thaw_icc_status thaw_heif_profile(const uint8_t *bytes, size_t count,
                                  const thaw_decode_options *options, uint8_t **profile,
                                  size_t *profile_count);

#endif
