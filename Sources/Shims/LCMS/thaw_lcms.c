// SPDX-License-Identifier: Apache-2.0
#include "thaw_lcms.h"

#include <stdlib.h>
#include <string.h>

#if THAW_HAS_LCMS
#include <lcms2.h>

struct thaw_colour {
  cmsHTRANSFORM transform;
  bool is_grey;
};

bool thaw_colour_is_grey(const thaw_colour *colour) { return colour->is_grey; }

static void describe(cmsHPROFILE profile, char *name, size_t capacity) {
  name[0] = 0;
  cmsGetProfileInfoASCII(profile, cmsInfoDescription, "en", "US", name, (cmsUInt32Number)capacity);
  name[capacity - 1] = 0;
}

void thaw_colour_convert(const thaw_colour *colour, uint8_t *pixels, size_t count) {
  enum { PIECE = 1024 };
  for (size_t at = 0; at < count; at += PIECE) {
    size_t left = count - at, size = left < PIECE ? left : PIECE;
    uint8_t *place = pixels + at * 3;
    if (!colour->is_grey) {
      cmsDoTransform(colour->transform, place, place, (cmsUInt32Number)size);
      continue;
    }
    uint8_t grey[PIECE];
    for (size_t index = 0; index < size; index++) grey[index] = place[index * 3];
    cmsDoTransform(colour->transform, grey, place, (cmsUInt32Number)size);
  }
}

void thaw_colour_convert_inks(void *colour, const uint8_t *cmyk, uint8_t *rgb, size_t width) {
  cmsDoTransform(((const thaw_colour *)colour)->transform, cmyk, rgb, (cmsUInt32Number)width);
}

// Whether colours from all over the cube stay where they are.
static bool changes_nothing(const thaw_colour *colour) {
  uint8_t colours[729 * 3], converted[729 * 3];
  for (int index = 0; index < 729; index++) {
    int steps[3] = {index % 9, index / 9 % 9, index / 81};
    for (int channel = 0; channel < 3; channel++) {
      int step = colour->is_grey ? steps[0] : steps[channel];
      colours[index * 3 + channel] = (uint8_t)(step * 255 / 8);
    }
  }
  memcpy(converted, colours, sizeof colours);
  thaw_colour_convert(colour, converted, 729);
  for (size_t index = 0; index < sizeof colours; index++) {
    if (abs((int)colours[index] - (int)converted[index]) > 1) return false;
  }
  return true;
}

thaw_colour_status thaw_colour_open(const uint8_t *profile, size_t count, bool is_cmyk,
                                    thaw_colour **colour, char *name, size_t capacity) {
  *colour = NULL;
  name[0] = 0;
  cmsHPROFILE source = cmsOpenProfileFromMem(profile, (cmsUInt32Number)count);
  if (source == NULL) return THAW_COLOUR_UNUSABLE;
  describe(source, name, capacity);
  cmsColorSpaceSignature space = cmsGetColorSpace(source);
  bool fits = is_cmyk ? space == cmsSigCmykData : space == cmsSigRgbData || space == cmsSigGrayData;
  thaw_colour *result = fits ? calloc(1, sizeof *result) : NULL;
  cmsHPROFILE target = result != NULL ? cmsCreate_sRGBProfile() : NULL;
  if (target != NULL) {
    result->is_grey = space == cmsSigGrayData;
    cmsUInt32Number format = is_cmyk ? TYPE_CMYK_8 : result->is_grey ? TYPE_GRAY_8 : TYPE_RGB_8;
    // Without the cache of the last colour a transform may be shared by threads.
    result->transform = cmsCreateTransform(source, format, target, TYPE_RGB_8, INTENT_PERCEPTUAL,
                                           cmsFLAGS_NOCACHE);
    cmsCloseProfile(target);
  }
  cmsCloseProfile(source);
  if (result == NULL || result->transform == NULL) {
    free(result);
    return THAW_COLOUR_UNUSABLE;
  }
  if (!is_cmyk && changes_nothing(result)) {
    thaw_colour_close(result);
    return THAW_COLOUR_SAME;
  }
  *colour = result;
  return THAW_COLOUR_OK;
}

void thaw_colour_close(thaw_colour *colour) {
  if (colour == NULL) return;
  cmsDeleteTransform(colour->transform);
  free(colour);
}

#else

// Without the library only a profile that calls itself sRGB's is known, in either way of writing.
static bool mentions(const uint8_t *bytes, size_t count, const char *text, size_t length) {
  for (size_t at = 0; at + length <= count; at++) {
    if (memcmp(bytes + at, text, length) == 0) return true;
  }
  return false;
}

thaw_colour_status thaw_colour_open(const uint8_t *profile, size_t count, bool is_cmyk,
                                    thaw_colour **colour, char *name, size_t capacity) {
  (void)is_cmyk, (void)capacity;
  *colour = NULL;
  name[0] = 0;
  bool same = mentions(profile, count, "sRGB", 4) || mentions(profile, count, "s\0R\0G\0B", 7);
  return same ? THAW_COLOUR_SAME : THAW_COLOUR_MISSING;
}

bool thaw_colour_is_grey(const thaw_colour *colour) {
  (void)colour;
  return false;
}

void thaw_colour_convert(const thaw_colour *colour, uint8_t *pixels, size_t count) {
  (void)colour, (void)pixels, (void)count;
}

void thaw_colour_convert_inks(void *colour, const uint8_t *cmyk, uint8_t *rgb, size_t width) {
  (void)colour, (void)cmyk, (void)rgb, (void)width;
}

void thaw_colour_close(thaw_colour *colour) { (void)colour; }

#endif
