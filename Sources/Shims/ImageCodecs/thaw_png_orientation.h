// SPDX-License-Identifier: Apache-2.0
// Where the orientation of a PNG stands.
#ifndef THAW_PNG_ORIENTATION_H
#define THAW_PNG_ORIENTATION_H

#include "thaw_codecs.h"

/// Orientation (1 to 8) in a PNG's chunks; 0 when there is none, -1 when it is not valid.
int32_t thaw_png_orientation(const uint8_t *bytes, size_t count);

/// The camera in a PNG's EXIF chunk; empty when there is none.
void thaw_png_camera(const uint8_t *bytes, size_t count, char *camera, size_t capacity);

#endif
