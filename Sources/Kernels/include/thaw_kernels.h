// SPDX-License-Identifier: Apache-2.0
//
// Loops over channels-last images that training needs and oneDNN 2.6 lacks or runs slowly: depthwise
// convolutions in all three directions, and everything that is one pass over memory. Every function
// works on the calling thread alone and is compiled for AVX-512, AVX2 and the plain instruction set;
// the best one the processor has is chosen at the first call. All numbers are Float32 unless said
// otherwise; an image is [H, W, C] with nothing between the elements.
#ifndef THAW_KERNELS_H
#define THAW_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

// The layers on bytes. Named here so that a build folder of before notices that there is another header.
#include "thaw_bytes.h"

// Instruction sets, worst first.
typedef enum { THAW_PLAIN, THAW_AVX2, THAW_AVX512 } thaw_instructions;

// The set in use.
thaw_instructions thaw_kernels_instructions(void);
// Uses nothing better than `limit` from now on (for tests, before other threads compute).
void thaw_kernels_limit(thaw_instructions limit);

// A function with a derivative that its own result gives away.
typedef enum { THAW_IDENTITY, THAW_RELU, THAW_RELU6 } thaw_rectifier;

// Height then width in each pair; dilation 1 is dense; `before` is the padding above and left.
typedef struct {
  int64_t channels;
  int64_t input[2], output[2], kernel[2], stride[2], dilation[2], before[2];
} thaw_geometry;

// ---- Depthwise convolution; weights are [kH * kW, C] --------------------------------------------

// y = rectifier(x * w + bias); bias [C] or NULL.
void thaw_depthwise_forward(
    const thaw_geometry *geometry, const float *x, const float *w, const float *bias,
    thaw_rectifier rectifier, float *y);
// dx = the transpose of the convolution, applied to dy.
void thaw_depthwise_backward_data(
    const thaw_geometry *geometry, const float *dy, const float *w, float *dx);
// dw += sum over the output's pixels of dy * x.
void thaw_depthwise_backward_weights(
    const thaw_geometry *geometry, const float *x, const float *dy, float *dw);

// ---- Pooling ------------------------------------------------------------------------------------

// y = the largest value under each window and `winner` its tap (ky * kW + kx), -1 where a window sees
// no pixel. The first of equal values wins, NaN beats everything. `winner` may be NULL.
void thaw_maximum_forward(const thaw_geometry *geometry, const float *x, float *y, int32_t *winner);
// dx += dy at the winners.
void thaw_maximum_backward(
    const thaw_geometry *geometry, const float *dy, const int32_t *winner, float *dx);
// y = factor[pixel] * the sum under each window.
void thaw_average_forward(
    const thaw_geometry *geometry, const float *x, const float *factor, float *y);
// dx += factor[pixel] * dy, spread over each window.
void thaw_average_backward(
    const thaw_geometry *geometry, const float *dy, const float *factor, float *dx);

// ---- Elements -----------------------------------------------------------------------------------

// target += source, which lies apart.
void thaw_add(float *target, const float *source, int64_t count);
// result = rectifier(left + right). Any of the three may be the same.
void thaw_sum(
    const float *left, const float *right, thaw_rectifier rectifier, float *result, int64_t count);
// result = rectifier(x).
void thaw_rectify(const float *x, thaw_rectifier rectifier, float *result, int64_t count);
// dx = dy where the rectifier has slope 1, else 0; y is the rectifier's result. dx may be dy.
void thaw_rectify_backward(
    const float *dy, const float *y, thaw_rectifier rectifier, float *dx, int64_t count);
// result = left * right, added to what is there when `accumulates`. The result lies apart.
void thaw_product(
    const float *left, const float *right, bool accumulates, float *result, int64_t count);

// target *= factors, which lie apart.
void thaw_scale(float *target, const float *factors, int64_t count);
// y = 1 / (1 + e^-x), x times that, and x times the normal distribution function. y may be x.
void thaw_sigmoid(const float *x, float *y, int64_t count);
void thaw_silu(const float *x, float *y, int64_t count);
void thaw_gelu(const float *x, float *y, int64_t count);
// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), and x / (1 + e^(-1.702 x)). y may be x.
void thaw_gelu_tanh(const float *x, float *y, int64_t count);
void thaw_quick_gelu(const float *x, float *y, int64_t count);
// min(max(x / 6 + 1/2, 0), 1), and x times that. NaN stays NaN. y may be x.
void thaw_hard_sigmoid(const float *x, float *y, int64_t count);
void thaw_hard_swish(const float *x, float *y, int64_t count);
// dx = dy * the derivative at x. dx may be dy.
void thaw_sigmoid_backward(const float *dy, const float *x, float *dx, int64_t count);
void thaw_silu_backward(const float *dy, const float *x, float *dx, int64_t count);
void thaw_gelu_backward(const float *dy, const float *x, float *dx, int64_t count);
void thaw_gelu_tanh_backward(const float *dy, const float *x, float *dx, int64_t count);
void thaw_quick_gelu_backward(const float *dy, const float *x, float *dx, int64_t count);
// At x = -3 and x = 3 the slope is that of the outer side, 0 or 1, as in PyTorch.
void thaw_hard_sigmoid_backward(const float *dy, const float *x, float *dx, int64_t count);
void thaw_hard_swish_backward(const float *dy, const float *x, float *dx, int64_t count);
// factors[i] = 0 where number `first` + i of a Philox-4x32-10 stream of 16-bit numbers is below
// `threshold`, else `kept`. Number j is the j % 8th of block era * 2^32 + j / 8, low halves first; the
// counter is (block, domain).
void thaw_keep_mask(
    const uint32_t key[2], const uint32_t domain[2], uint32_t era, int64_t first, int64_t count,
    uint32_t threshold, float kept, float *factors);

// ---- Rows of channels: x is [rows, C] ------------------------------------------------------------

// Takes these rows into the mean of each channel and its sum of squared distances from the mean,
// which `seen` rows are in already (0 and zeros at first).
//
// Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
void thaw_moments(
    const float *x, int64_t rows, int64_t channels, int64_t seen, double *means,
    double *squares);
// sums[c] += dy, products[c] += dy * (x - mean[c]).
void thaw_gradient_moments(
    const float *dy, const float *x, const float *mean, int64_t rows, int64_t channels,
    double *sums, double *products);
// sums[c] += x.
void thaw_channel_sums(const float *x, int64_t rows, int64_t channels, double *sums);
// y = rectifier(scale[c] * x + shift[c] + other); `other` [rows, C] or NULL. y may be x or other.
void thaw_affine(
    const float *x, const float *scale, const float *shift, const float *other,
    thaw_rectifier rectifier, int64_t rows, int64_t channels, float *y);
// dx = a[c] * dy + b[c] * x + c[c], added to what is there when `accumulates`; x may be NULL where b
// is 0.
void thaw_affine_backward(
    const float *dy, const float *x, const float *a, const float *b, const float *c,
    bool accumulates, int64_t rows, int64_t channels, float *dx);

// y = gamma[c] * (x - mean) / sqrt(variance + epsilon) + beta[c], with each row's own moments.
void thaw_layer_norm(
    const float *x, const float *gamma, const float *beta, float epsilon, int64_t rows,
    int64_t channels, float *y);
// The gradients of that: by x, written or added as `accumulates` says (dx NULL: none), and by gamma and
// beta, added (both NULL: none).
void thaw_layer_norm_backward(
    const float *dy, const float *x, const float *gamma, float epsilon, int64_t rows,
    int64_t channels, bool accumulates, float *dx, double *gamma_sums, double *beta_sums);

// The softmax of each row of x, [rows, columns], times `scale` before the exponential, in place.
void thaw_softmax(float *x, float scale, int64_t rows, int64_t columns);
// The gradient by x of that from d, the one by its result p, in place:
// d = scale * p * (d - the row's sum of d * p).
void thaw_softmax_backward(
    float *d, const float *p, float scale, int64_t rows, int64_t columns);

// Turns the channels of each row of x, [rows, width], in pairs c and c + half, half the width, by the angles of
// its cosines and sines, [rows, half]; back with a direction of -1: y[c] = x[c] cos - direction x[c + half] sin,
// y[c + half] = x[c + half] cos + direction x[c] sin. `bias`, [width], is added to x first (NULL: none), as to
// the `prefix` rows before those, which are not turned. Rows lie their strides apart; y may be x.
void thaw_turn(
    const float *x, int64_t x_stride, const float *bias, const float *cosines, const float *sines,
    int64_t prefix, int64_t rows, int64_t width, float direction, float *y, int64_t y_stride);

// ---- Order --------------------------------------------------------------------------------------

// target[c, r] = source[r, c], added to what is there when `accumulates`.
void thaw_transpose(
    const float *source, int64_t rows, int64_t columns, bool accumulates, float *target);

#endif
