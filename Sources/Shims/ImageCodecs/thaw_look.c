// SPDX-License-Identifier: Apache-2.0
#include "thaw_look.h"

#include "thaw_dispatch.h"

THAW_DISPATCH
void thaw_brightness(const uint8_t *pixels, size_t count, float *brightness) {
// A multiplication fused with an addition would give other last bits on other processors.
#pragma clang fp contract(off)
  for (size_t i = 0; i < count; i++) {
    float red = (float)pixels[3 * i];
    float green = (float)pixels[3 * i + 1];
    float blue = (float)pixels[3 * i + 2];
    brightness[i] = 0.299f * red + 0.587f * green + 0.114f * blue;
  }
}

THAW_DISPATCH
void thaw_add_samples(const uint8_t *row, size_t count, size_t step, uint32_t *sums) {
  if (step == 1) {
    for (size_t i = 0; i < count; i++) {
      sums[i] += (uint32_t)row[3 * i] + row[3 * i + 1] + row[3 * i + 2];
    }
    return;
  }
  for (size_t i = 0; i < count; i++, row += 3 * step) {
    uint32_t sum = 0;
    for (size_t k = 0; k < 3 * step; k++) sum += row[k];
    sums[i] += sum;
  }
}

THAW_DISPATCH
void thaw_level_sums(const uint32_t *levels, size_t count, uint64_t *sum, uint64_t *squares) {
  uint64_t total = 0, squared = 0;
  for (size_t i = 0; i < count; i++) {
    total += levels[i];
    squared += (uint64_t)levels[i] * levels[i];
  }
  *sum = total;
  *squares = squared;
}

THAW_DISPATCH
uint64_t thaw_level_differences(const uint32_t *levels, size_t columns, size_t rows) {
  uint64_t sum = 0;
  for (size_t y = 1; y + 1 < rows; y++) {
    const uint32_t *row = levels + y * columns;
    const uint32_t *above = row - columns;
    const uint32_t *below = row + columns;
    for (size_t x = 1; x + 1 < columns; x++) {
      // Wraps around to the difference, whichever is larger.
      uint32_t difference = 4 * row[x] - row[x - 1] - row[x + 1] - above[x] - below[x];
      sum += difference >> 31 ? 0 - difference : difference;
    }
  }
  return sum;
}
