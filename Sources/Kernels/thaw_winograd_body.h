// SPDX-License-Identifier: Apache-2.0
//
// Winograd's kernels for one instruction set; see thaw_instruction_sets.h.
//
// Transformed tiles are [positions][tiles][inputs], their sums [positions][tiles][outputs], transformed
// weights [positions][outputs / panel][inputs][panel], a panel being two vectors.

#define INLINE static inline __attribute__((always_inline)) void
#define UNROLL _Pragma("clang loop unroll(full)")

// BT d of one column of a tile.
INLINE NAME(transform_input)(int tile, const VECTOR *d, VECTOR *result) {
  if (tile == 2) {
    result[0] = d[0] - d[2];
    result[1] = d[1] + d[2];
    result[2] = d[2] - d[1];
    result[3] = d[1] - d[3];
    return;
  }
  const float near = NEAR, far = FAR, near2 = near * near, far2 = far * far;
  VECTOR even = d[4] - far2 * d[2], odd = near * (d[3] - far2 * d[1]);
  VECTOR far_even = d[4] - near2 * d[2], far_odd = far * (d[3] - near2 * d[1]);
  result[0] = near2 * far2 * d[0] + (d[4] - (near2 + far2) * d[2]);
  result[1] = even + odd;
  result[2] = even - odd;
  result[3] = far_even + far_odd;
  result[4] = far_even - far_odd;
  result[5] = near2 * far2 * d[1] + (d[5] - (near2 + far2) * d[3]);
}

// AT m of one column of sums.
INLINE NAME(transform_output)(int tile, const VECTOR *m, VECTOR *result) {
  VECTOR sum = m[1] + m[2], difference = m[1] - m[2];
  if (tile == 2) {
    result[0] = m[0] + sum;
    result[1] = difference - m[3];
    return;
  }
  const float near = NEAR, far = FAR, near2 = near * near, far2 = far * far;
  VECTOR far_sum = m[3] + m[4], far_difference = m[3] - m[4];
  result[0] = m[0] + (sum + far_sum);
  result[1] = near * difference + far * far_difference;
  result[2] = near2 * sum + far2 * far_sum;
  result[3] = near2 * near * difference + far2 * far * far_difference + m[5];
}

// The tile of x whose upper left pixel is (top, left), WIDTH channels; zeros lie around the image.
INLINE NAME(read_tile)(
    const thaw_winograd *g, int tile, const float *x, int64_t top, int64_t left, float *result,
    int64_t position_step) {
  const int side = tile + 2;
  int64_t height = g->input[0], width = g->input[1], block = g->input_block;
  bool is_inner = top >= 0 && left >= 0 && top + side <= height && left + side <= width;
  VECTOR column[6], half[6][6], transformed[6];
  for (int j = 0; j < side; j++) {
    UNROLL for (int i = 0; i < side; i++) {
      int64_t iy = top + i, ix = left + j;
      column[i] = (VECTOR){0};
      if (is_inner || (iy >= 0 && iy < height && ix >= 0 && ix < width))
        column[i] = LOAD(x + (iy * width + ix) * block);
    }
    NAME(transform_input)(tile, column, transformed);
    UNROLL for (int i = 0; i < side; i++) half[i][j] = transformed[i];
  }
  for (int i = 0; i < side; i++) {
    NAME(transform_input)(tile, half[i], transformed);
    UNROLL for (int j = 0; j < side; j++)
        STORE(result + (i * side + j) * position_step, transformed[j]);
  }
}

INLINE NAME(transform_tiles)(
    const thaw_winograd *g, int tile, const float *x, int64_t first, int64_t end, float *v) {
  int64_t across = tiles_across(g), step = distance(g, g->inputs), block = g->input_block;
  int64_t plane = g->input[0] * g->input[1] * block;
  for (int64_t row = first; row < end; row++)
    // In the order of memory: pixels inside a block, channels inside a pixel.
    for (int64_t outer = 0; outer < g->inputs; outer += block)
      for (int64_t column = 0; column < across; column++)
        for (int64_t c = outer; c < outer + block; c += WIDTH)
          NAME(read_tile)(
              g, tile, x + c / block * plane + c % block, row * tile - g->before[0],
              column * tile - g->before[1],
              v + ((row - first) * across + column) * g->inputs + c, step);
}

// Writes a tile of results, WIDTH channels, the part of it that lies in the image.
INLINE NAME(write_tile)(
    const thaw_winograd *g, int tile, const float *m, int64_t position_step, VECTOR bias,
    const float *residual, thaw_rectifier rectifier, int64_t top, int64_t left, float *y) {
  const int side = tile + 2;
  int64_t height = g->output[0] - top, width = g->output[1] - left;
  VECTOR column[6], half[4][6], values[4];
  for (int j = 0; j < side; j++) {
    UNROLL for (int i = 0; i < side; i++) column[i] = LOAD(m + (i * side + j) * position_step);
    NAME(transform_output)(tile, column, values);
    UNROLL for (int i = 0; i < tile; i++) half[i][j] = values[i];
  }
  for (int i = 0; i < tile && i < height; i++) {
    NAME(transform_output)(tile, half[i], values);
    UNROLL for (int j = 0; j < tile; j++) {
      if (j >= width) break;
      int64_t pixel = ((top + i) * g->output[1] + left + j) * g->output_block;
      VECTOR value = values[j] + bias;
      if (residual) value += LOAD(residual + pixel);
      STORE(y + pixel, NAME(rectified_vector)(value, rectifier));
    }
  }
}

INLINE NAME(transform_sums)(
    const thaw_winograd *g, int tile, const float *m, const float *bias, const float *residual,
    thaw_rectifier rectifier, int64_t first, int64_t end, float *y) {
  int64_t across = tiles_across(g), step = distance(g, g->outputs), block = g->output_block;
  int64_t plane = g->output[0] * g->output[1] * block;
  for (int64_t row = first; row < end; row++)
    for (int64_t outer = 0; outer < g->outputs; outer += block)
      for (int64_t column = 0; column < across; column++)
        for (int64_t c = outer; c < outer + block; c += WIDTH) {
          int64_t channel = c / block * plane + c % block;
          VECTOR start = {0};
          if (bias) start = LOAD(bias + c);
          NAME(write_tile)(
              g, tile, m + ((row - first) * across + column) * g->outputs + c, step, start,
              residual ? residual + channel : NULL, rectifier, row * tile, column * tile,
              y + channel);
        }
}

// m[r][0 ..< 2 WIDTH] = the sum over c of v[r][c] * u[c][0 ..< 2 WIDTH], for `rows` rows r, which is known where
// this is expanded. Meanwhile memory from `next` on is fetched, `next_step` bytes each time.
INLINE NAME(product)(
    int rows, const float *v, const float *u, int64_t inputs, const char *next, int64_t next_step,
    float *m, int64_t outputs) {
  VECTOR sums[MOST_ROWS][2];
  UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = (VECTOR){0};
  for (int64_t c = 0; c < inputs; c++, next += next_step) {
    __builtin_prefetch(next, 0, 2);
    VECTOR left = LOAD(u + c * 2 * WIDTH), right = LOAD(u + c * 2 * WIDTH + WIDTH);
    UNROLL for (int r = 0; r < rows; r++) {
      float value = v[r * inputs + c];
      sums[r][0] += value * left;
      sums[r][1] += value * right;
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    STORE(m + r * outputs, sums[r][0]);
    STORE(m + r * outputs + WIDTH, sums[r][1]);
  }
}

// The sums of one position. The weights of a large layer come from memory; while one panel is multiplied by all
// rows, the next one is fetched.
static void NAME(multiply)(
    const thaw_winograd *g, const float *u, const float *v, int64_t tiles, float *m) {
  int64_t inputs = g->inputs, outputs = g->outputs;
  for (int64_t panel = 0; panel < outputs; panel += 2 * WIDTH, u += 2 * WIDTH * inputs) {
    int64_t t = 0;
    float *target = m + panel;
    const char *next = (const char *)(u + 2 * WIDTH * inputs);
    // A panel's rows, shared among the products of this one.
    int64_t step = 8 * WIDTH * MOST_ROWS / (tiles + MOST_ROWS - 1);
    for (; t + MOST_ROWS <= tiles; t += MOST_ROWS) {
      NAME(product)(MOST_ROWS, v + t * inputs, u, inputs, next, step, target, outputs);
      target += MOST_ROWS * outputs;
      next += step * inputs;
    }
    const float *rest = v + t * inputs;
    switch (tiles - t) {
      case 1: NAME(product)(1, rest, u, inputs, next, step, target, outputs); break;
      case 2: NAME(product)(2, rest, u, inputs, next, step, target, outputs); break;
      case 3: NAME(product)(3, rest, u, inputs, next, step, target, outputs); break;
      case 4: NAME(product)(4, rest, u, inputs, next, step, target, outputs); break;
      case 5: NAME(product)(5, rest, u, inputs, next, step, target, outputs); break;
      default: break;
    }
  }
}

INLINE NAME(forward_tiles)(
    const thaw_winograd *g, int tile, const float *x, const float *u, const float *bias,
    const float *residual, thaw_rectifier rectifier, int64_t first, int64_t end, float *scratch,
    float *y) {
  int64_t across = tiles_across(g), together = rows_at_once(g);
  int64_t input_step = distance(g, g->inputs), output_step = distance(g, g->outputs);
  float *v = scratch, *m = scratch + positions(g) * input_step;
  for (int64_t row = first; row < end; row += together) {
    int64_t next = row + together < end ? row + together : end;
    NAME(transform_tiles)(g, tile, x, row, next, v);
    for (int64_t p = 0; p < positions(g); p++)
      NAME(multiply)(
          g, u + p * g->inputs * g->outputs, v + p * input_step, (next - row) * across,
          m + p * output_step);
    NAME(transform_sums)(g, tile, m, bias, residual, rectifier, row, next, y);
  }
}

static void NAME(forward)(
    const thaw_winograd *g, const float *x, const float *u, const float *bias,
    const float *residual, thaw_rectifier rectifier, int64_t first, int64_t end, float *scratch,
    float *y) {
  if (g->tile == 4)
    NAME(forward_tiles)(g, 4, x, u, bias, residual, rectifier, first, end, scratch, y);
  else
    NAME(forward_tiles)(g, 2, x, u, bias, residual, rectifier, first, end, scratch, y);
}

// ---- Weights ------------------------------------------------------------------------------------

// G g GT of the filters from one input to a panel of outputs. `filters` are those in Double, [9][panel].
INLINE NAME(pack_filters)(
    int tile, const double matrix[MOST_SIDE][3], const double filters[9][2 * WIDTH],
    int64_t position_step, float *packed) {
  const int side = tile + 2;
  double half[MOST_SIDE][3][2 * WIDTH];
  for (int i = 0; i < side; i++)
    for (int k = 0; k < 3; k++)
      for (int o = 0; o < 2 * WIDTH; o++)
        half[i][k][o] = matrix[i][0] * filters[k][o] + matrix[i][1] * filters[3 + k][o] +
                        matrix[i][2] * filters[6 + k][o];
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++)
      for (int o = 0; o < 2 * WIDTH; o++)
        packed[(i * side + j) * position_step + o] =
            (float)(matrix[j][0] * half[i][0][o] + matrix[j][1] * half[i][1][o] +
                    matrix[j][2] * half[i][2][o]);
}

static void NAME(pack)(
    const thaw_winograd *g, const float *weights, const float *scale, bool is_backward,
    float *packed) {
  int64_t output_step = is_backward ? 9 : g->inputs * 9;
  int64_t input_step = is_backward ? g->outputs * 9 : 9;
  double matrix[MOST_SIDE][3];
  for (int i = 0; i < g->tile + 2; i++) filter_row(g->tile, i, matrix[i]);
  for (int64_t panel = 0; panel < g->outputs; panel += 2 * WIDTH)
    for (int64_t i = 0; i < g->inputs; i++) {
      double filters[9][2 * WIDTH];
      for (int o = 0; o < 2 * WIDTH; o++) {
        const float *filter = weights + (panel + o) * output_step + i * input_step;
        double factor = scale ? scale[is_backward ? i : panel + o] : 1;
        for (int k = 0; k < 9; k++) filters[k][o] = filter[is_backward ? 8 - k : k] * factor;
      }
      float *target = packed + panel * g->inputs + i * 2 * WIDTH;
      if (g->tile == 4)
        NAME(pack_filters)(4, matrix, filters, g->inputs * g->outputs, target);
      else
        NAME(pack_filters)(2, matrix, filters, g->inputs * g->outputs, target);
    }
}

static const winograd_table NAME(winograd_table) = {2 * WIDTH, NAME(forward), NAME(pack)};

#undef INLINE
#undef UNROLL
