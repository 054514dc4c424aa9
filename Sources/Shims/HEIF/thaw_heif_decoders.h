// SPDX-License-Identifier: Apache-2.0
// Decoders of libheif's whose images are red, green and blue already.
//
// libheif turns brightness and colour differences into colours pixel by pixel, through general code, before it
// turns and crops; asked for the differences it computes them anew from those colours. With decoders of ours,
// on the same libde265 and dav1d, that is done once, a row at a time, as the format's own programs do it.
#ifndef THAW_HEIF_DECODERS_H
#define THAW_HEIF_DECODERS_H

#if THAW_HAS_HEIF
#include <libheif/heif.h>
#include <stdbool.h>

/// Names the decoder for an AVIF, or for a HEIC of 8 bits without transparency; false where the library's own is to
/// be used.
bool thaw_heif_choose(const struct heif_image_handle *handle, bool is_avif,
                      struct heif_decoding_options *decoding);

/// Back to the library's own.
void thaw_heif_choose_library(struct heif_decoding_options *decoding);

/// Counts the images that are being decoded, so that one that is decoded alone may use several threads.
/// Returns how many threads that is; 0 stands for the calling one.
int thaw_heif_begin(void);
void thaw_heif_end(void);

#endif
#endif
