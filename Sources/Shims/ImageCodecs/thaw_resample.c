// SPDX-License-Identifier: Apache-2.0
#include "thaw_resample.h"

#include <string.h>

#include "thaw_dispatch.h"

typedef int32_t lanes __attribute__((vector_size(16)));
typedef uint8_t bytes4 __attribute__((vector_size(4)));

static inline uint8_t clamp(int32_t sum) {
  int32_t value = sum >> THAW_WEIGHT_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static const int32_t half = 1 << (THAW_WEIGHT_BITS - 1);

static void horizontal_row(const uint8_t *source, uint8_t *target, size_t columns,
                           const int32_t *first, const int32_t *taps, const int32_t *weights,
                           size_t weight_stride) {
  for (size_t x = 0; x < columns; x++, weights += weight_stride) {
    const uint8_t *pixel = source + (size_t)first[x] * 3;
    int32_t sums[3] = {half, half, half};
    for (int32_t k = 0; k < taps[x]; k++, pixel += 3) {
      for (int c = 0; c < 3; c++) sums[c] += weights[k] * pixel[c];
    }
    for (int c = 0; c < 3; c++) target[3 * x + (size_t)c] = clamp(sums[c]);
  }
}

// A pixel is three bytes but is loaded as four, so the row must not be the last of its buffer.
#define LOAD(from)                            \
  ({                                          \
    bytes4 packed;                            \
    memcpy(&packed, (from), sizeof packed);   \
    __builtin_convertvector(packed, lanes);   \
  })

THAW_DISPATCH
static void horizontal_pairs(const uint8_t *source, size_t source_stride, uint8_t *target,
                             size_t target_stride, size_t rows, size_t columns,
                             const int32_t *first, const int32_t *taps, const int32_t *weights,
                             size_t weight_stride) {
  for (size_t y = 0; y + 1 < rows; y += 2) {
    const uint8_t *upper_row = source + y * source_stride;
    uint8_t *upper_target = target + y * target_stride;
    const int32_t *weight = weights;
    for (size_t x = 0; x < columns; x++, weight += weight_stride) {
      const uint8_t *upper = upper_row + (size_t)first[x] * 3;
      const uint8_t *lower = upper + source_stride;
      lanes upper_sum = {half, half, half, half};
      lanes lower_sum = upper_sum;
      for (int32_t k = 0; k < taps[x]; k++, upper += 3, lower += 3) {
        lanes scale = {weight[k], weight[k], weight[k], weight[k]};
        upper_sum += scale * LOAD(upper);
        lower_sum += scale * LOAD(lower);
      }
      uint8_t *out = upper_target + 3 * x;
      for (int c = 0; c < 3; c++) {
        out[c] = clamp(upper_sum[c]);
        out[target_stride + (size_t)c] = clamp(lower_sum[c]);
      }
    }
  }
}

void thaw_resample_horizontal(const uint8_t *source, size_t source_stride, uint8_t *target,
                              size_t target_stride, size_t rows, size_t columns,
                              const int32_t *first, const int32_t *taps, const int32_t *weights,
                              size_t weight_stride) {
  if (rows == 0) return;
  // At least one row, the last, is left to the loop that never reads past a pixel.
  size_t paired = (rows - 1) / 2 * 2;
  horizontal_pairs(source, source_stride, target, target_stride, paired, columns, first, taps,
                   weights, weight_stride);
  for (size_t y = paired; y < rows; y++) {
    horizontal_row(source + y * source_stride, target + y * target_stride, columns, first, taps,
                   weights, weight_stride);
  }
}

THAW_DISPATCH
void thaw_resample_vertical(const uint8_t *source, size_t source_stride, uint8_t *target,
                            size_t count, size_t taps, const int32_t *weights) {
  enum { BLOCK = 64 };
  size_t at = 0;
  for (; at + BLOCK <= count; at += BLOCK) {
    int32_t sums[BLOCK];
    for (int i = 0; i < BLOCK; i++) sums[i] = half;
    for (size_t k = 0; k < taps; k++) {
      const uint8_t *row = source + k * source_stride + at;
      int32_t weight = weights[k];
      for (int i = 0; i < BLOCK; i++) sums[i] += weight * row[i];
    }
    for (int i = 0; i < BLOCK; i++) target[at + (size_t)i] = clamp(sums[i]);
  }
  for (; at < count; at++) {
    int32_t sum = half;
    for (size_t k = 0; k < taps; k++) sum += weights[k] * source[k * source_stride + at];
    target[at] = clamp(sum);
  }
}

void thaw_normalize_row(const uint8_t *source, size_t count, const float *table,
                        const uint8_t channel[3], float *plane0, float *plane1, float *plane2,
                        ptrdiff_t step) {
  const uint8_t *first = source + channel[0];
  const uint8_t *second = source + channel[1];
  const uint8_t *third = source + channel[2];
  for (size_t i = 0; i < count; i++) {
    *plane0 = table[first[3 * i]];
    *plane1 = table[256 + second[3 * i]];
    *plane2 = table[512 + third[3 * i]];
    plane0 += step;
    plane1 += step;
    plane2 += step;
  }
}
