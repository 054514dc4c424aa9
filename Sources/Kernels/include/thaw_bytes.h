// SPDX-License-Identifier: Apache-2.0
//
// A network's layers on bytes. A byte b stands for scale * (b - zero); weights are signed bytes, one scale
// an output channel. Products are summed exactly, in 32 bits, and every operation that follows is one IEEE 754
// operation on Float32 in a stated order, nothing fused: the result is the same bit for bit on every
// processor and whichever instructions are used.
//
// A sum becomes a result in this order, each step rounded to nearest even:
//   v = float(sum) * factor[channel]
//   v = v + float(residual - residual_zero) * residual_scale     (where there is a residual)
//   v = function(v)
//   byte = round(clamp(v * inverse, -zero, 255 - zero)) + zero   (or v itself, as Float32)
//
// Images are [H, W, S]: S, the step between pixels in bytes, is the channels rounded up; what lies in the
// rounding is read but multiplied by weights of 0. Every function works on the calling thread alone.
#ifndef THAW_BYTES_H
#define THAW_BYTES_H

#include <stdbool.h>
#include <stdint.h>

// What multiplies bytes, worst first.
typedef enum {
  THAW_BYTES_PLAIN,
  THAW_BYTES_AVX2,
  THAW_BYTES_AVX512,
  THAW_BYTES_VNNI
} thaw_byte_instructions;

// The instructions in use.
thaw_byte_instructions thaw_bytes_instructions(void);
// Uses nothing better than `limit` from now on (for tests, before other threads compute).
void thaw_bytes_limit(thaw_byte_instructions limit);

typedef enum {
  THAW_BYTE_IDENTITY,
  THAW_BYTE_RELU,
  THAW_BYTE_RELU6,
  THAW_BYTE_SILU,
  THAW_BYTE_SIGMOID,
  THAW_BYTE_HARD_SIGMOID,
  THAW_BYTE_HARD_SWISH
} thaw_byte_function;

// From a sum to a result; see above.
typedef struct {
  const float *factor;      // one a channel of the packed layer
  const uint8_t *residual;  // pixels as the result's, `residual_step` bytes apart; or NULL
  int64_t residual_step;
  float residual_scale;
  int32_t residual_zero;
  thaw_byte_function function;
  float inverse;  // 1 / the result's scale
  int32_t zero;   // the result's
  bool floats;    // results are Float32
} thaw_byte_ending;

// A convolution over an image that is padded already. Height then width in pairs.
typedef struct {
  int64_t input[2];   // of the padded image
  int64_t output[2];  // pixels
  int64_t kernel[2], stride[2], dilation[2];
  int64_t step;          // bytes between input pixels, a multiple of 4
  int64_t depth;         // bytes of a pixel that are read, a multiple of 4
  int64_t channels;      // of the result
  int64_t result_step;   // elements between pixels of the result
} thaw_byte_geometry;

// ---- Convolution; with one pixel a row, a dense layer -------------------------------------------

// Bytes of the packed weights of a convolution with `taps` taps.
int64_t thaw_bytes_packed(int64_t channels, int64_t taps, int64_t depth);
// Packs weights [channels, inputs, taps]; inputs <= depth.
void thaw_bytes_pack(
    const int8_t *weights, int64_t channels, int64_t inputs, int64_t taps, int64_t depth,
    int8_t *packed);
// y = ending(bias + the convolution of x). `bias` and `ending->factor` are [channels rounded up to 16], 0
// behind the channels; the bias contains what the input's zero takes away. Where the result is bytes and its
// step allows it, whole blocks of 16 are written.
void thaw_bytes_convolution(
    const thaw_byte_geometry *geometry, const uint8_t *x, const int8_t *packed,
    const int32_t *bias, const thaw_byte_ending *ending, void *y);

// ---- Depthwise convolution ----------------------------------------------------------------------

// Whether there is a fast kernel of this size; any other size goes by a simple loop.
bool thaw_bytes_depthwise_is_fast(int64_t kernel_height, int64_t kernel_width, int64_t stride);
// Bytes of the packed weights.
int64_t thaw_bytes_depthwise_packed(const thaw_byte_geometry *geometry);
// Packs weights [channels, taps].
void thaw_bytes_depthwise_pack(
    const thaw_byte_geometry *geometry, const int8_t *weights, int8_t *packed);
// The order in which the kernel of this geometry wants bias and factors: place i holds those of channel
// order[i], -1 for none; [channels rounded up to 64].
void thaw_bytes_depthwise_order(const thaw_byte_geometry *geometry, int32_t *order);
// y = ending(bias + the depthwise convolution of x). x has THAW_BYTES_SLACK(step) bytes behind it.
void thaw_bytes_depthwise(
    const thaw_byte_geometry *geometry, const uint8_t *x, const int8_t *packed,
    const int32_t *bias, const thaw_byte_ending *ending, void *y);
#define THAW_BYTES_SLACK(step) (8 * (step) + 64)

// ---- Everything else ----------------------------------------------------------------------------

// y = x with `before` and `after` (height, width) pixels of `fill` around it.
void thaw_bytes_pad(
    const uint8_t *x, int64_t height, int64_t width, int64_t step, const int64_t before[2],
    const int64_t after[2], uint8_t fill, uint8_t *y);
// Bytes of Float32: `pixels` pixels whose elements are `pixel_step` apart, channels `channel_step`.
void thaw_bytes_quantize(
    const float *x, int64_t pixels, int64_t channels, int64_t pixel_step, int64_t channel_step,
    float inverse, int32_t zero, int64_t step, uint8_t *y);
// y [pixels, channels] = scale * float(x - zero).
void thaw_bytes_dequantize(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, float scale, int32_t zero,
    float *y);
// The largest under each window of a padded image; depth bytes of a pixel.
void thaw_bytes_maximum(const thaw_byte_geometry *geometry, const uint8_t *x, uint8_t *y);
// v = float(sum under the window - taps * x_zero) * factor[pixel], then as in `ending`.
void thaw_bytes_average(
    const thaw_byte_geometry *geometry, const uint8_t *x, int32_t x_zero, const float *factor,
    const thaw_byte_ending *ending, void *y);
// v = float(a - a_zero) * a_scale, then as in `ending` with b as its residual.
void thaw_bytes_add(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, float a_scale,
    int32_t a_zero, const thaw_byte_ending *ending, void *y, int64_t result_step);
// v = float((a - a_zero) * (gates[channel] - gates_zero)) * scale, then as in `ending`.
void thaw_bytes_gate(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, int32_t a_zero,
    const uint8_t *gates, int32_t gates_zero, float scale, const thaw_byte_ending *ending,
    uint8_t *y, int64_t result_step);
// v = float(x - zero) * factor[channel] + shift[channel], then as in `ending`.
void thaw_bytes_affine(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, int32_t zero,
    const float *shift, const thaw_byte_ending *ending, void *y, int64_t result_step);
// y = table[x] for the first `channels` bytes of each pixel.
void thaw_bytes_map(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, const uint8_t table[256],
    uint8_t *y, int64_t result_step);
// y [channels, pixels] = x [pixels, step].
void thaw_bytes_flatten(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, uint8_t *y);

#endif
