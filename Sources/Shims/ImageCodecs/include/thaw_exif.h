// SPDX-License-Identifier: Apache-2.0
// Fields of the first directory of a TIFF structure, as EXIF stores it.
#ifndef THAW_EXIF_H
#define THAW_EXIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A field's place; its values are at `offset`, inside the entry where they fit.
typedef struct {
  uint32_t type, values;
  size_t offset;
} thaw_exif_field;

/// Finds a field. Reads nothing outside `bytes`; the values themselves may lie outside.
bool thaw_exif_find(const uint8_t *bytes, size_t count, uint32_t tag, thaw_exif_field *field);

/// Who made the camera and which it is, as one text; empty when the structure does not say.
void thaw_exif_camera(const uint8_t *bytes, size_t count, char *camera, size_t capacity);

#endif
