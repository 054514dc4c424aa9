// SPDX-License-Identifier: Apache-2.0
// The two inner loops of image resizing. They are in C for runtime dispatch to AVX2: the result is
// the same on every processor (integer arithmetic).
#ifndef THAW_RESAMPLE_H
#define THAW_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

/// Fraction bits of the weights. 8 bits of sample, 2 of headroom for negative lobes: 22 are left.
enum { THAW_WEIGHT_BITS = 22 };

/// Horizontal pass over interleaved RGB.
///
/// target[y, x, c] = clamp((sum over k < taps[x] of weights[x, k] * source[y, first[x] + k, c]
///                         + half) >> THAW_WEIGHT_BITS)
///
/// `weights` has `weight_stride` entries an output column. Strides are in bytes. The caller has
/// checked that every first[x] + taps[x] lies within the source row.
void thaw_resample_horizontal(const uint8_t *source, size_t source_stride, uint8_t *target,
                              size_t target_stride, size_t rows, size_t columns,
                              const int32_t *first, const int32_t *taps, const int32_t *weights,
                              size_t weight_stride);

/// One row of the vertical pass: the same sum down `taps` rows that begin at `source`.
void thaw_resample_vertical(const uint8_t *source, size_t source_stride, uint8_t *target,
                            size_t count, size_t taps, const int32_t *weights);

/// Planar floats from `count` interleaved RGB pixels: plane p receives
/// table[p * 256 + source[3 * i + channel[p]]], `step` floats from one pixel to the next (-1 mirrors).
void thaw_normalize_row(const uint8_t *source, size_t count, const float *table,
                        const uint8_t channel[3], float *plane0, float *plane1, float *plane2,
                        ptrdiff_t step);

#endif
