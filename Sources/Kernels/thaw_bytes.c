// SPDX-License-Identifier: Apache-2.0
#include "thaw_bytes.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "thaw_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The order of operations is part of what these kernels promise: a product and a sum are two roundings.
#pragma STDC FP_CONTRACT OFF

typedef struct {
  void (*convolution)(
      const thaw_byte_geometry *, const uint8_t *, const int8_t *, const int32_t *,
      const thaw_byte_ending *, void *);
  void (*depthwise)(
      const thaw_byte_geometry *, const uint8_t *, const int8_t *, const int32_t *,
      const thaw_byte_ending *, void *);
  void (*average)(
      const thaw_byte_geometry *, const uint8_t *, int32_t, const float *,
      const thaw_byte_ending *, void *);
  void (*add)(
      const uint8_t *, int64_t, int64_t, int64_t, float, int32_t, const thaw_byte_ending *, void *,
      int64_t);
  void (*gate)(
      const uint8_t *, int64_t, int64_t, int64_t, int32_t, const uint8_t *, int32_t, float,
      const thaw_byte_ending *, uint8_t *, int64_t);
  void (*affine)(
      const uint8_t *, int64_t, int64_t, int64_t, int32_t, const float *, const thaw_byte_ending *,
      void *, int64_t);
  void (*quantize)(
      const float *, int64_t, int64_t, int64_t, int64_t, float, int32_t, int64_t, uint8_t *);
  void (*dequantize)(const uint8_t *, int64_t, int64_t, int64_t, float, int32_t, float *);
  void (*maximum)(const thaw_byte_geometry *, const uint8_t *, uint8_t *);
} byte_table;

bool thaw_bytes_depthwise_is_fast(int64_t kernel_height, int64_t kernel_width, int64_t stride) {
  return kernel_height == kernel_width && (kernel_height == 3 || kernel_height == 5) &&
         (stride == 1 || stride == 2);
}

static bool is_fast_depthwise(const thaw_byte_geometry *g) {
  return g->stride[0] == g->stride[1] && g->dilation[0] == 1 && g->dilation[1] == 1 &&
         thaw_bytes_depthwise_is_fast(g->kernel[0], g->kernel[1], g->stride[0]);
}

#define NAME(name) name##_plain
#define WIDTH 4
#define LEVEL 0
#include "thaw_bytes_body.h"
#undef NAME
#undef WIDTH
#undef LEVEL

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define NAME(name) name##_avx2
#define WIDTH 8
#define LEVEL 1
#include "thaw_bytes_body.h"
#undef NAME
#undef WIDTH
#undef LEVEL
#pragma clang attribute pop

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2"))), apply_to = function)
#define NAME(name) name##_avx512
#define WIDTH 16
#define LEVEL 2
#include "thaw_bytes_body.h"
#undef NAME
#undef WIDTH
#undef LEVEL
#pragma clang attribute pop

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2"))), \
    apply_to = function)
#define NAME(name) name##_vnni
#define WIDTH 16
#define LEVEL 3
#include "thaw_bytes_body.h"
#undef NAME
#undef WIDTH
#undef LEVEL
#pragma clang attribute pop
#endif

static atomic_int most = (int)THAW_BYTES_VNNI;

thaw_byte_instructions thaw_bytes_instructions(void) {
  thaw_byte_instructions found = THAW_BYTES_PLAIN;
#if defined(__x86_64__)
  switch (thaw_kernels_instructions()) {
    case THAW_AVX512:
      __builtin_cpu_init();
      found = __builtin_cpu_supports("avx512vnni") ? THAW_BYTES_VNNI : THAW_BYTES_AVX512;
      break;
    case THAW_AVX2: found = THAW_BYTES_AVX2; break;
    case THAW_PLAIN: break;
  }
#endif
  int limit = atomic_load_explicit(&most, memory_order_relaxed);
  return (int)found < limit ? found : (thaw_byte_instructions)limit;
}

void thaw_bytes_limit(thaw_byte_instructions limit) { atomic_store(&most, (int)limit); }

static const byte_table *table(void) {
#if defined(__x86_64__)
  switch (thaw_bytes_instructions()) {
    case THAW_BYTES_VNNI: return &table_vnni;
    case THAW_BYTES_AVX512: return &table_avx512;
    case THAW_BYTES_AVX2: return &table_avx2;
    case THAW_BYTES_PLAIN: break;
  }
#endif
  return &table_plain;
}

// ---- Convolution --------------------------------------------------------------------------------

int64_t thaw_bytes_packed(int64_t channels, int64_t taps, int64_t depth) {
  return (channels + 15) / 16 * 16 * taps * depth;
}

void thaw_bytes_pack(
    const int8_t *weights, int64_t channels, int64_t inputs, int64_t taps, int64_t depth,
    int8_t *packed) {
  memset(packed, 0, (size_t)thaw_bytes_packed(channels, taps, depth));
  for (int64_t o = 0; o < channels; o++)
    for (int64_t i = 0; i < inputs; i++)
      for (int64_t t = 0; t < taps; t++)
        packed[o / 16 * taps * depth * 16 + (t * depth + i / 4 * 4) * 16 + o % 16 * 4 + i % 4] =
            weights[(o * inputs + i) * taps + t];
}

void thaw_bytes_convolution(
    const thaw_byte_geometry *geometry, const uint8_t *x, const int8_t *packed,
    const int32_t *bias, const thaw_byte_ending *ending, void *y) {
  table()->convolution(geometry, x, packed, bias, ending, y);
}

// ---- Depthwise convolution ----------------------------------------------------------------------

// Columns of four and results a step; as the kernels are instantiated.
static void depthwise_step(const thaw_byte_geometry *g, int64_t *quads, int64_t *outputs) {
  *quads = g->kernel[0] == 3 && g->stride[0] == 1 ? 1 : 2;
  *outputs = (4 * *quads - g->kernel[0]) / g->stride[0] + 1;
}

static bool is_interleaved(const thaw_byte_geometry *g) {
  return is_fast_depthwise(g) && thaw_bytes_instructions() != THAW_BYTES_PLAIN;
}

int64_t thaw_bytes_depthwise_packed(const thaw_byte_geometry *g) {
  int64_t rounded = (g->channels + 63) / 64 * 64;
  if (!is_interleaved(g)) return rounded * g->kernel[0] * g->kernel[1];
  int64_t quads, outputs;
  depthwise_step(g, &quads, &outputs);
  return rounded * g->kernel[0] * quads * outputs * 4;
}

void thaw_bytes_depthwise_order(const thaw_byte_geometry *g, int32_t *order) {
  int64_t rounded = (g->channels + 63) / 64 * 64;
  for (int64_t i = 0; i < rounded; i++) {
    int64_t in = i % 64;
    // Vector, then lane, then number in the lane.
    int64_t channel =
        is_interleaved(g) ? i - in + in / 4 % 4 * 16 + in / 16 * 4 + in % 4 : i;
    order[i] = channel < g->channels ? (int32_t)channel : -1;
  }
}

void thaw_bytes_depthwise_pack(
    const thaw_byte_geometry *g, const int8_t *weights, int8_t *packed) {
  int64_t rounded = (g->channels + 63) / 64 * 64, taps = g->kernel[0] * g->kernel[1];
  memset(packed, 0, (size_t)thaw_bytes_depthwise_packed(g));
  if (!is_interleaved(g)) {
    for (int64_t c = 0; c < g->channels; c++)
      for (int64_t t = 0; t < taps; t++) packed[t * rounded + c] = weights[c * taps + t];
    return;
  }
  int64_t quads, outputs, kernel = g->kernel[0];
  depthwise_step(g, &quads, &outputs);
  for (int64_t i = 0; i < rounded; i++) {
    int64_t in = i % 64, channel = i - in + in / 4 % 4 * 16 + in / 16 * 4 + in % 4;
    if (channel >= g->channels) continue;
    for (int64_t ky = 0; ky < kernel; ky++)
      for (int64_t q = 0; q < quads; q++)
        for (int64_t j = 0; j < outputs; j++)
          for (int64_t b = 0; b < 4; b++) {
            int64_t tap = 4 * q + b - j * g->stride[0];
            if (tap < 0 || tap >= kernel) continue;
            packed
                [(((i / 64 * kernel + ky) * quads + q) * outputs + j) * 256 + in * 4 + b] =
                    weights[channel * taps + ky * kernel + tap];
          }
  }
}

void thaw_bytes_depthwise(
    const thaw_byte_geometry *geometry, const uint8_t *x, const int8_t *packed,
    const int32_t *bias, const thaw_byte_ending *ending, void *y) {
  table()->depthwise(geometry, x, packed, bias, ending, y);
}

// ---- Everything else ----------------------------------------------------------------------------

void thaw_bytes_pad(
    const uint8_t *x, int64_t height, int64_t width, int64_t step, const int64_t before[2],
    const int64_t after[2], uint8_t fill, uint8_t *y) {
  int64_t row = (before[1] + width + after[1]) * step;
  memset(y, fill, (size_t)(before[0] * row));
  for (int64_t i = 0; i < height; i++) {
    uint8_t *to = y + (before[0] + i) * row;
    memset(to, fill, (size_t)(before[1] * step));
    memcpy(to + before[1] * step, x + i * width * step, (size_t)(width * step));
    memset(to + (before[1] + width) * step, fill, (size_t)(after[1] * step));
  }
  memset(y + (before[0] + height) * row, fill, (size_t)(after[0] * row));
}

void thaw_bytes_quantize(
    const float *x, int64_t pixels, int64_t channels, int64_t pixel_step, int64_t channel_step,
    float inverse, int32_t zero, int64_t step, uint8_t *y) {
  table()->quantize(x, pixels, channels, pixel_step, channel_step, inverse, zero, step, y);
}

void thaw_bytes_dequantize(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, float scale, int32_t zero,
    float *y) {
  table()->dequantize(x, pixels, channels, step, scale, zero, y);
}

void thaw_bytes_maximum(const thaw_byte_geometry *geometry, const uint8_t *x, uint8_t *y) {
  table()->maximum(geometry, x, y);
}

void thaw_bytes_average(
    const thaw_byte_geometry *geometry, const uint8_t *x, int32_t x_zero, const float *factor,
    const thaw_byte_ending *ending, void *y) {
  table()->average(geometry, x, x_zero, factor, ending, y);
}

void thaw_bytes_add(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, float a_scale,
    int32_t a_zero, const thaw_byte_ending *ending, void *y, int64_t result_step) {
  table()->add(a, pixels, channels, step, a_scale, a_zero, ending, y, result_step);
}

void thaw_bytes_gate(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, int32_t a_zero,
    const uint8_t *gates, int32_t gates_zero, float scale, const thaw_byte_ending *ending,
    uint8_t *y, int64_t result_step) {
  table()->gate(
      a, pixels, channels, step, a_zero, gates, gates_zero, scale, ending, y, result_step);
}

void thaw_bytes_affine(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, int32_t zero,
    const float *shift, const thaw_byte_ending *ending, void *y, int64_t result_step) {
  table()->affine(x, pixels, channels, step, zero, shift, ending, y, result_step);
}

void thaw_bytes_map(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, const uint8_t table[256],
    uint8_t *y, int64_t result_step) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c++)
      y[pixel * result_step + c] = table[x[pixel * step + c]];
}

void thaw_bytes_flatten(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, uint8_t *y) {
  for (int64_t c = 0; c < channels; c++)
    for (int64_t pixel = 0; pixel < pixels; pixel++) y[c * pixels + pixel] = x[pixel * step + c];
}
