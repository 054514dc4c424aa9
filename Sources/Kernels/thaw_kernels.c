// SPDX-License-Identifier: Apache-2.0
#include "thaw_kernels.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

// One implementation of everything in the header that is worth vector instructions.
typedef struct {
  void (*depthwise_forward)(
      const thaw_geometry *, const float *, const float *, const float *, thaw_rectifier, float *);
  void (*depthwise_backward_data)(
      const thaw_geometry *, const float *, const float *, float *);
  void (*depthwise_backward_weights)(
      const thaw_geometry *, const float *, const float *, float *);
  void (*maximum_forward)(const thaw_geometry *, const float *, float *, int32_t *);
  void (*maximum_backward)(const thaw_geometry *, const float *, const int32_t *, float *);
  void (*average_forward)(const thaw_geometry *, const float *, const float *, float *);
  void (*average_backward)(const thaw_geometry *, const float *, const float *, float *);
  void (*add)(float *, const float *, int64_t);
  void (*sum)(const float *, const float *, thaw_rectifier, float *, int64_t);
  void (*rectify)(const float *, thaw_rectifier, float *, int64_t);
  void (*rectify_backward)(const float *, const float *, thaw_rectifier, float *, int64_t);
  void (*product)(const float *, const float *, bool, float *, int64_t);
  void (*moments)(const float *, int64_t, int64_t, int64_t, double *, double *);
  void (*gradient_moments)(
      const float *, const float *, const float *, int64_t, int64_t, double *, double *);
  void (*channel_sums)(const float *, int64_t, int64_t, double *);
  void (*affine)(
      const float *, const float *, const float *, const float *, thaw_rectifier, int64_t, int64_t,
      float *);
  void (*affine_backward)(
      const float *, const float *, const float *, const float *, const float *, bool, int64_t,
      int64_t, float *);
  void (*transpose)(const float *, int64_t, int64_t, bool, float *);
  void (*scale)(float *, const float *, int64_t);
  void (*sigmoid)(const float *, float *, int64_t);
  void (*sigmoid_backward)(const float *, const float *, float *, int64_t);
  void (*silu)(const float *, float *, int64_t);
  void (*silu_backward)(const float *, const float *, float *, int64_t);
  void (*gelu)(const float *, float *, int64_t);
  void (*gelu_backward)(const float *, const float *, float *, int64_t);
  void (*gelu_tanh)(const float *, float *, int64_t);
  void (*gelu_tanh_backward)(const float *, const float *, float *, int64_t);
  void (*quick_gelu)(const float *, float *, int64_t);
  void (*quick_gelu_backward)(const float *, const float *, float *, int64_t);
  void (*hard_sigmoid)(const float *, float *, int64_t);
  void (*hard_sigmoid_backward)(const float *, const float *, float *, int64_t);
  void (*hard_swish)(const float *, float *, int64_t);
  void (*hard_swish_backward)(const float *, const float *, float *, int64_t);
  void (*softmax)(float *, float, int64_t, int64_t);
  void (*softmax_backward)(float *, const float *, float, int64_t, int64_t);
  void (*turn)(
      const float *, int64_t, const float *, const float *, const float *, int64_t, int64_t, int64_t,
      float, float *, int64_t);
  void (*layer_norm)(
      const float *, const float *, const float *, float, int64_t, int64_t, float *);
  void (*layer_norm_backward)(
      const float *, const float *, const float *, float, int64_t, int64_t, bool, float *, double *,
      double *);
  void (*keep_mask)(
      const uint32_t *, const uint32_t *, uint32_t, int64_t, int64_t, uint32_t, float, float *);
} kernel_table;

#define KERNELS "thaw_kernels_body.h"
#include "thaw_instruction_sets.h"

static atomic_int chosen = -1;

static thaw_instructions best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return THAW_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return THAW_AVX2;
#endif
  return THAW_PLAIN;
}

thaw_instructions thaw_kernels_instructions(void) {
  int found = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (found < 0) {
    found = (int)best();
    atomic_store_explicit(&chosen, found, memory_order_relaxed);
  }
  return (thaw_instructions)found;
}

void thaw_kernels_limit(thaw_instructions limit) {
  thaw_instructions found = best();
  atomic_store(&chosen, (int)(limit < found ? limit : found));
}

static const kernel_table *table(void) {
#if defined(__x86_64__)
  switch (thaw_kernels_instructions()) {
    case THAW_AVX512: return &table_avx512;
    case THAW_AVX2: return &table_avx2;
    case THAW_PLAIN: break;
  }
#endif
  return &table_plain;
}

void thaw_depthwise_forward(
    const thaw_geometry *geometry, const float *x, const float *w, const float *bias,
    thaw_rectifier rectifier, float *y) {
  table()->depthwise_forward(geometry, x, w, bias, rectifier, y);
}

void thaw_depthwise_backward_data(
    const thaw_geometry *geometry, const float *dy, const float *w, float *dx) {
  table()->depthwise_backward_data(geometry, dy, w, dx);
}

void thaw_depthwise_backward_weights(
    const thaw_geometry *geometry, const float *x, const float *dy, float *dw) {
  table()->depthwise_backward_weights(geometry, x, dy, dw);
}

void thaw_maximum_forward(
    const thaw_geometry *geometry, const float *x, float *y, int32_t *winner) {
  table()->maximum_forward(geometry, x, y, winner);
}

void thaw_maximum_backward(
    const thaw_geometry *geometry, const float *dy, const int32_t *winner, float *dx) {
  table()->maximum_backward(geometry, dy, winner, dx);
}

void thaw_average_forward(
    const thaw_geometry *geometry, const float *x, const float *factor, float *y) {
  table()->average_forward(geometry, x, factor, y);
}

void thaw_average_backward(
    const thaw_geometry *geometry, const float *dy, const float *factor, float *dx) {
  table()->average_backward(geometry, dy, factor, dx);
}

// Whether two runs of `count` numbers have none in common, as `restrict` promises the compiler.
static bool apart(const float *left, const float *right, int64_t count) {
  return left + count <= right || right + count <= left;
}

void thaw_add(float *target, const float *source, int64_t count) {
  assert(apart(target, source, count));
  table()->add(target, source, count);
}

void thaw_sum(
    const float *left, const float *right, thaw_rectifier rectifier, float *result,
    int64_t count) {
  table()->sum(left, right, rectifier, result, count);
}

void thaw_rectify(const float *x, thaw_rectifier rectifier, float *result, int64_t count) {
  table()->rectify(x, rectifier, result, count);
}

void thaw_rectify_backward(
    const float *dy, const float *y, thaw_rectifier rectifier, float *dx, int64_t count) {
  table()->rectify_backward(dy, y, rectifier, dx, count);
}

void thaw_product(
    const float *left, const float *right, bool accumulates, float *result, int64_t count) {
  assert(apart(result, left, count) && apart(result, right, count));
  table()->product(left, right, accumulates, result, count);
}

void thaw_moments(
    const float *x, int64_t rows, int64_t channels, int64_t seen, double *means,
    double *squares) {
  table()->moments(x, rows, channels, seen, means, squares);
}

void thaw_gradient_moments(
    const float *dy, const float *x, const float *mean, int64_t rows, int64_t channels,
    double *sums, double *products) {
  table()->gradient_moments(dy, x, mean, rows, channels, sums, products);
}

void thaw_channel_sums(const float *x, int64_t rows, int64_t channels, double *sums) {
  table()->channel_sums(x, rows, channels, sums);
}

void thaw_affine(
    const float *x, const float *scale, const float *shift, const float *other,
    thaw_rectifier rectifier, int64_t rows, int64_t channels, float *y) {
  table()->affine(x, scale, shift, other, rectifier, rows, channels, y);
}

void thaw_affine_backward(
    const float *dy, const float *x, const float *a, const float *b, const float *c,
    bool accumulates, int64_t rows, int64_t channels, float *dx) {
  table()->affine_backward(dy, x, a, b, c, accumulates, rows, channels, dx);
}

void thaw_transpose(
    const float *source, int64_t rows, int64_t columns, bool accumulates, float *target) {
  table()->transpose(source, rows, columns, accumulates, target);
}

void thaw_scale(float *target, const float *factors, int64_t count) {
  assert(apart(target, factors, count));
  table()->scale(target, factors, count);
}

void thaw_sigmoid(const float *x, float *y, int64_t count) { table()->sigmoid(x, y, count); }

void thaw_sigmoid_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->sigmoid_backward(dy, x, dx, count);
}

void thaw_silu(const float *x, float *y, int64_t count) { table()->silu(x, y, count); }

void thaw_silu_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->silu_backward(dy, x, dx, count);
}

void thaw_gelu(const float *x, float *y, int64_t count) { table()->gelu(x, y, count); }

void thaw_gelu_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->gelu_backward(dy, x, dx, count);
}

void thaw_gelu_tanh(const float *x, float *y, int64_t count) { table()->gelu_tanh(x, y, count); }

void thaw_gelu_tanh_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->gelu_tanh_backward(dy, x, dx, count);
}

void thaw_quick_gelu(const float *x, float *y, int64_t count) { table()->quick_gelu(x, y, count); }

void thaw_quick_gelu_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->quick_gelu_backward(dy, x, dx, count);
}

void thaw_hard_sigmoid(const float *x, float *y, int64_t count) {
  table()->hard_sigmoid(x, y, count);
}

void thaw_hard_sigmoid_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->hard_sigmoid_backward(dy, x, dx, count);
}

void thaw_hard_swish(const float *x, float *y, int64_t count) { table()->hard_swish(x, y, count); }

void thaw_hard_swish_backward(const float *dy, const float *x, float *dx, int64_t count) {
  table()->hard_swish_backward(dy, x, dx, count);
}

void thaw_softmax(float *x, float scale, int64_t rows, int64_t columns) {
  table()->softmax(x, scale, rows, columns);
}

void thaw_softmax_backward(
    float *d, const float *p, float scale, int64_t rows, int64_t columns) {
  table()->softmax_backward(d, p, scale, rows, columns);
}

void thaw_turn(
    const float *x, int64_t x_stride, const float *bias, const float *cosines, const float *sines,
    int64_t prefix, int64_t rows, int64_t width, float direction, float *y, int64_t y_stride) {
  table()->turn(
      x, x_stride, bias, cosines, sines, prefix, rows, width, direction, y, y_stride);
}

void thaw_layer_norm(
    const float *x, const float *gamma, const float *beta, float epsilon, int64_t rows,
    int64_t channels, float *y) {
  table()->layer_norm(x, gamma, beta, epsilon, rows, channels, y);
}

void thaw_layer_norm_backward(
    const float *dy, const float *x, const float *gamma, float epsilon, int64_t rows,
    int64_t channels, bool accumulates, float *dx, double *gamma_sums, double *beta_sums) {
  table()->layer_norm_backward(
      dy, x, gamma, epsilon, rows, channels, accumulates, dx, gamma_sums, beta_sums);
}

void thaw_keep_mask(
    const uint32_t key[2], const uint32_t domain[2], uint32_t era, int64_t first, int64_t count,
    uint32_t threshold, float kept, float *factors) {
  table()->keep_mask(key, domain, era, first, count, threshold, kept, factors);
}
