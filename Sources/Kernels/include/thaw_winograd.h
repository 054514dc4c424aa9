// SPDX-License-Identifier: Apache-2.0
//
// 3x3 convolutions by Winograd's minimal filtering: a tile of T x T results is made of (T + 2)^2 products a
// pair of channels instead of 9 T^2. Tiles and filters are transformed by small fixed matrices, the products
// are those of matrices, one for each position in a tile, and their sums are transformed back.
// F(4x4, 3x3) needs a quarter of the products for four times the weights, F(2x2, 3x3) four ninths for 16/9.
//
// Sources: Winograd 1980, Arithmetic Complexity of Computations; Lavin and Gray 2015, arXiv:1509.09308.
//
// A result depends on its own tile alone, so it has the same bits however many tiles are computed at once and
// wherever the image is cut. Every function works on the calling thread alone.
#ifndef THAW_WINOGRAD_H
#define THAW_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

#include "thaw_kernels.h"

// A convolution of one image: kernel 3x3, stride 1, no dilation. Images lie in blocks of channels,
// [C / block, H, W, block], which may be all of them. Height then width in pairs; `before` is the padding above
// and left.
typedef struct {
  int64_t tile;                       // T: 4 or 2
  int64_t inputs, outputs;            // channels: multiples of their blocks; outputs of thaw_winograd_panel()
  int64_t input_block, output_block;  // multiples of half of thaw_winograd_panel()
  int64_t input[2], output[2], before[2];
} thaw_winograd;

// Of how many channels at once the results are computed by the instructions in use.
int64_t thaw_winograd_panel(void);
// Rows of tiles of the result.
int64_t thaw_winograd_rows(const thaw_winograd *geometry);
// Elements of the transformed weights.
int64_t thaw_winograd_weight_count(const thaw_winograd *geometry);
// Elements that thaw_winograd_forward works in.
int64_t thaw_winograd_scratch_count(const thaw_winograd *geometry);

// Transforms weights [outputs, inputs, 3, 3], each output times its scale, in Double, rounded once. Where
// `is_backward`, the convolution is that which takes the gradient by the result of another one to the gradient
// by its source: weights are [inputs, outputs, 3, 3], are turned by half a circle, and each input has a scale.
// `scale` may be NULL.
void thaw_winograd_pack(
    const thaw_winograd *geometry, const float *weights, const float *scale, bool is_backward,
    float *packed);

// y = rectifier(x * w + bias + residual) in the rows [first, end) of tiles; bias [outputs] and residual, which
// lies as y does and may be y, may be NULL.
void thaw_winograd_forward(
    const thaw_winograd *geometry, const float *x, const float *packed, const float *bias,
    const float *residual, thaw_rectifier rectifier, int64_t first, int64_t end, float *scratch,
    float *y);

#endif
