// SPDX-License-Identifier: Apache-2.0
// Colour profiles inside photos: where they are, not what they mean.
#ifndef THAW_ICC_H
#define THAW_ICC_H

#include <stddef.h>
#include <stdint.h>

/// What kind of file a profile is looked for in.
typedef enum { THAW_ICC_JPEG, THAW_ICC_PNG, THAW_ICC_WEBP, THAW_ICC_TIFF } thaw_icc_container;

/// What became of looking for one.
typedef enum {
  THAW_ICC_NONE,
  THAW_ICC_FOUND,
  /// There is one, but in pieces that do not make a whole, or too large.
  THAW_ICC_DAMAGED,
  THAW_ICC_NO_MEMORY
} thaw_icc_status;

/// Larger profiles are refused: those of printers have a few megabytes at most.
enum { THAW_ICC_LIMIT = 4 << 20 };

/// Finds the profile of a photo and copies it; `*profile` is freed by `thaw_image_free`.
thaw_icc_status thaw_icc_find(thaw_icc_container container, const uint8_t *bytes, size_t count,
                              uint8_t **profile, size_t *profile_count);

#endif
