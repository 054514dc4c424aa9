// SPDX-License-Identifier: Apache-2.0
// The inner loops of a look at a photo. They are in C for runtime dispatch to AVX2: the result is the same on
// every processor (integers, or floats one by one in a fixed order).
#ifndef THAW_LOOK_H
#define THAW_LOOK_H

#include <stddef.h>
#include <stdint.h>

/// brightness[i] = 0.299 R + 0.587 G + 0.114 B of `count` interleaved RGB pixels, added from the left.
void thaw_brightness(const uint8_t *pixels, size_t count, float *brightness);

/// Adds to sums[i] the samples of the pixels [i * step, (i + 1) * step) of a row of interleaved RGB.
void thaw_add_samples(const uint8_t *row, size_t count, size_t step, uint32_t *sums);

/// The sums of `count` levels and of their squares.
void thaw_level_sums(const uint32_t *levels, size_t count, uint64_t *sum, uint64_t *squares);

/// The sum of |4 c - left - right - above - below| over the levels inside, `columns` a row, for levels
/// below 2^29.
uint64_t thaw_level_differences(const uint32_t *levels, size_t columns, size_t rows);

#endif
