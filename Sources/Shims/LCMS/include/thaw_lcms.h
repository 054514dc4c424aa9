// SPDX-License-Identifier: Apache-2.0
// Colours of a profile as sRGB (Little CMS).
#ifndef THAW_LCMS_H
#define THAW_LCMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How opening a profile ended.
typedef enum {
  THAW_COLOUR_OK,
  /// The profile hardly changes a colour: it is sRGB's.
  THAW_COLOUR_SAME,
  /// It is damaged, or not one of pixels like these.
  THAW_COLOUR_UNUSABLE,
  /// The library was not there when this was built.
  THAW_COLOUR_MISSING
} thaw_colour_status;

/// From one profile to sRGB; used by several threads at once.
typedef struct thaw_colour thaw_colour;

/// Opens a profile of red, green and blue or of grey, or with `is_cmyk` of inks.
///
/// `name` gets what the profile calls itself. Only with `THAW_COLOUR_OK` there is something to close.
thaw_colour_status thaw_colour_open(const uint8_t *profile, size_t count, bool is_cmyk,
                                    thaw_colour **colour, char *name, size_t capacity);

/// Whether the profile is one of grey.
bool thaw_colour_is_grey(const thaw_colour *colour);

/// Converts interleaved 8-bit RGB in place. Of a profile of grey the first sample counts.
void thaw_colour_convert(const thaw_colour *colour, uint8_t *pixels, size_t count);

/// Converts a row of inks, 0 to 255, to interleaved RGB; `colour` is a `thaw_colour`.
void thaw_colour_convert_inks(void *colour, const uint8_t *cmyk, uint8_t *rgb, size_t width);

/// Frees what opening took; NULL does nothing.
void thaw_colour_close(thaw_colour *colour);

#endif
