// SPDX-License-Identifier: Apache-2.0
#include "thaw_winograd.h"

#include <stddef.h>

enum {
  // A product of matrices has at most so many rows in registers.
  MOST_ROWS = 6,
  // Rows of tiles are taken together until there are so many tiles: the weights are read once for all of
  // them, and tiles and sums stay in the second cache.
  TILES_AT_ONCE = 28,
  // Keeps the positions of a tile from falling on the same lines of a cache.
  SHIFT = 16
};

// F(4, 3) evaluates polynomials at 0, these two, their negatives and infinity. With 5/8 and 3/2 all factors are
// exact, and the mean error of a result is half of that with the usual 1 and 2: 1.0e-6 of the results' size
// instead of 2.1e-6, for sums of 1152 products.
#define NEAR 0.625f
#define FAR 1.5f

static int64_t positions(const thaw_winograd *g) { return (g->tile + 2) * (g->tile + 2); }

static int64_t tiles_across(const thaw_winograd *g) {
  return (g->output[1] + g->tile - 1) / g->tile;
}

int64_t thaw_winograd_rows(const thaw_winograd *g) {
  return (g->output[0] + g->tile - 1) / g->tile;
}

// Rows of tiles that are computed together.
static int64_t rows_at_once(const thaw_winograd *g) {
  int64_t rows = (TILES_AT_ONCE + tiles_across(g) - 1) / tiles_across(g);
  return rows < thaw_winograd_rows(g) ? rows : thaw_winograd_rows(g);
}

// Distance between two positions of `channels` transformed channels.
static int64_t distance(const thaw_winograd *g, int64_t channels) {
  return rows_at_once(g) * tiles_across(g) * channels + SHIFT;
}

int64_t thaw_winograd_weight_count(const thaw_winograd *g) {
  return positions(g) * g->inputs * g->outputs;
}

int64_t thaw_winograd_scratch_count(const thaw_winograd *g) {
  return positions(g) * (distance(g, g->inputs) + distance(g, g->outputs));
}

// One implementation.
typedef struct {
  int64_t panel;
  void (*forward)(
      const thaw_winograd *, const float *, const float *, const float *, const float *,
      thaw_rectifier, int64_t, int64_t, float *, float *);
  void (*pack)(const thaw_winograd *, const float *, const float *, bool, float *);
} winograd_table;

enum { MOST_SIDE = 6 };

// Row `i` of G: the point's powers, divided by its distances from the other points.
static void filter_row(int64_t tile, int i, double row[3]) {
  static const double small[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  static const double points[5] = {0, NEAR, -NEAR, FAR, -FAR};
  double near2 = NEAR * NEAR, far2 = FAR * FAR;
  bool is_infinity = i == tile + 1;
  double point = is_infinity ? 0 : points[i];
  double norm = i == 0  ? near2 * far2
                : i < 3 ? 2 * near2 * (near2 - far2)
                        : 2 * far2 * (far2 - near2);
  double powers[3] = {1, point, point * point}, infinity[3] = {0, 0, 1};
  for (int k = 0; k < 3; k++)
    row[k] = tile == 2 ? small[i][k] : is_infinity ? infinity[k] : powers[k] / norm;
}

#define KERNELS "thaw_winograd_body.h"
#include "thaw_instruction_sets.h"

// The kernels for the instructions in use.
static const winograd_table *table(void) {
#if defined(__x86_64__)
  switch (thaw_kernels_instructions()) {
    case THAW_AVX512: return &winograd_table_avx512;
    case THAW_AVX2: return &winograd_table_avx2;
    case THAW_PLAIN: break;
  }
#endif
  return &winograd_table_plain;
}

int64_t thaw_winograd_panel(void) { return table()->panel; }

void thaw_winograd_forward(
    const thaw_winograd *g, const float *x, const float *packed, const float *bias,
    const float *residual, thaw_rectifier rectifier, int64_t first, int64_t end, float *scratch,
    float *y) {
  table()->forward(g, x, packed, bias, residual, rectifier, first, end, scratch, y);
}

void thaw_winograd_pack(
    const thaw_winograd *g, const float *weights, const float *scale, bool is_backward,
    float *packed) {
  table()->pack(g, weights, scale, is_backward, packed);
}
