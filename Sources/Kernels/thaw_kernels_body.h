// SPDX-License-Identifier: Apache-2.0
//
// The kernels for one instruction set; see thaw_instruction_sets.h. Sizes of tiles are those that keep all
// accumulators in registers.

static inline float NAME(rectified)(float x, thaw_rectifier rectifier) {
  if (rectifier == THAW_IDENTITY) return x;
  float positive = x < 0 ? 0 : x;
  return rectifier == THAW_RELU6 && positive > 6 ? 6 : positive;
}

// ---- Depthwise convolution ----------------------------------------------------------------------
//
// Forward and backward-data are the same computation: each result is a sum over taps of a weight
// vector times a pixel. A tap names the pixel that the first result of a run reads; the next result
// reads `step` further on.

typedef struct {
  const float *weight;
  const float *pixel;
} NAME(tap);

// `count` results, TILE at a time, each the sum over taps for WIDTH channels.
#define RUN(TILE)                                                                      \
  for (; count >= TILE; count -= TILE, done += TILE) {                                 \
    VECTOR sum[TILE];                                                                  \
    for (int t = 0; t < TILE; t++) sum[t] = start;                                     \
    for (int64_t k = 0; k < taps; k++) {                                               \
      VECTOR weight = LOAD(tap[k].weight + channel);                                   \
      const float *pixel = tap[k].pixel + channel + done * step;                       \
      _Pragma("clang loop unroll(full)") for (int t = 0; t < TILE; t++) sum[t] +=      \
          weight * LOAD(pixel + t * step);                                             \
    }                                                                                  \
    for (int t = 0; t < TILE; t++)                                                     \
      STORE(                                                                           \
          target + channel + (done + t) * target_step,                                 \
          NAME(rectified_vector)(sum[t], rectifier));                                  \
  }

static inline __attribute__((always_inline)) void NAME(weighted_sums)(
    const NAME(tap) * tap, int64_t taps, int64_t count, int64_t step, const float *bias,
    thaw_rectifier rectifier, int64_t channels, float *target, int64_t target_step) {
  int64_t whole = channels / WIDTH * WIDTH;
  int64_t results = count;
  for (int64_t channel = 0; channel < whole; channel += WIDTH) {
    int64_t done = 0;
    VECTOR start = {0};
    if (bias) start = LOAD(bias + channel);
    count = results;
    RUN(8)
    RUN(4)
    RUN(1)
  }
  for (int64_t channel = whole; channel < channels; channel++)
    for (int64_t i = 0; i < results; i++) {
      float sum = bias ? bias[channel] : 0;
      for (int64_t k = 0; k < taps; k++)
        sum += tap[k].weight[channel] * tap[k].pixel[channel + i * step];
      target[channel + i * target_step] = NAME(rectified)(sum, rectifier);
    }
}
#undef RUN

enum { NAME(MOST_TAPS) = 256 };

static void NAME(depthwise_forward)(
    const thaw_geometry *g, const float *x, const float *w, const float *bias,
    thaw_rectifier rectifier, float *y) {
  int64_t c = g->channels, kernel = g->kernel[1];
  NAME(tap) taps[NAME(MOST_TAPS)];
  for (int64_t row = 0; row < g->output[0]; row++) {
    int64_t column = 0;
    while (column < g->output[1]) {
      // The columns from here on that see the same taps.
      int64_t count = 0, left = column * g->stride[1] - g->before[1];
      int64_t run = g->output[1] - column;
      for (int64_t kx = 0; kx < kernel; kx++) {
        int64_t at = left + kx * g->dilation[1];
        int64_t limit = at < 0 ? 0 : g->input[1];
        if (at >= g->input[1]) continue;
        int64_t length = (limit - at + g->stride[1] - 1) / g->stride[1];
        if (length < run) run = length;
      }
      for (int64_t ky = 0; ky < g->kernel[0]; ky++) {
        int64_t iy = row * g->stride[0] - g->before[0] + ky * g->dilation[0];
        if (iy < 0 || iy >= g->input[0]) continue;
        for (int64_t kx = 0; kx < kernel; kx++) {
          int64_t at = left + kx * g->dilation[1];
          if (at < 0 || at >= g->input[1]) continue;
          taps[count++] =
              (NAME(tap)){w + (ky * kernel + kx) * c, x + (iy * g->input[1] + at) * c};
        }
      }
      NAME(weighted_sums)(
          taps, count, run, g->stride[1] * c, bias, rectifier, c,
          y + (row * g->output[1] + column) * c, c);
      column += run;
    }
  }
}

// Pixel (iy, ix) of dx gathers from the outputs whose windows saw it. Columns that are a stride apart
// see the same taps.
static void NAME(depthwise_backward_data)(
    const thaw_geometry *g, const float *dy, const float *w, float *dx) {
  int64_t c = g->channels, kernel = g->kernel[1], stride = g->stride[1];
  NAME(tap) taps[NAME(MOST_TAPS)];
  for (int64_t row = 0; row < g->input[0]; row++)
    for (int64_t phase = 0; phase < stride && phase < g->input[1]; phase++) {
      int64_t column = phase;
      while (column < g->input[1]) {
        int64_t count = 0;
        int64_t run = (g->input[1] - column + stride - 1) / stride;
        for (int64_t kx = 0; kx < kernel; kx++) {
          int64_t at = column + g->before[1] - kx * g->dilation[1];
          if (at % stride != 0) continue;
          at /= stride;
          if (at >= g->output[1]) continue;
          int64_t length = at < 0 ? -at : g->output[1] - at;
          if (length < run) run = length;
        }
        for (int64_t ky = 0; ky < g->kernel[0]; ky++) {
          int64_t oy = row + g->before[0] - ky * g->dilation[0];
          if (oy < 0 || oy % g->stride[0] != 0) continue;
          oy /= g->stride[0];
          if (oy >= g->output[0]) continue;
          for (int64_t kx = 0; kx < kernel; kx++) {
            int64_t at = column + g->before[1] - kx * g->dilation[1];
            if (at < 0 || at % stride != 0 || at / stride >= g->output[1]) continue;
            taps[count++] = (NAME(tap)){
                w + (ky * kernel + kx) * c, dy + (oy * g->output[1] + at / stride) * c};
          }
        }
        NAME(weighted_sums)(
            taps, count, run, c, NULL, THAW_IDENTITY, c, dx + (row * g->input[1] + column) * c,
            stride * c);
        column += run * stride;
      }
    }
}

// One row of outputs against one row of inputs, TAPS neighbouring taps, columns [first, end) where
// all of them fall into the image. Two columns at a time: enough independent sums to fill the units.
#define ROW(TAPS)                                                                                \
  static inline __attribute__((always_inline)) void NAME(weights_row_##TAPS)(                    \
      const float *x, const float *dy, int64_t first, int64_t end, int64_t step, int64_t apart,  \
      int64_t channels, float *dw) {                                                             \
    for (int64_t channel = 0; channel + WIDTH <= channels; channel += WIDTH) {                   \
      VECTOR even[TAPS], odd[TAPS];                                                              \
      for (int k = 0; k < TAPS; k++) {                                                           \
        even[k] = LOAD(dw + k * channels + channel);                                             \
        odd[k] = (VECTOR){0};                                                                    \
      }                                                                                          \
      const float *pixel = x + first * step + channel, *outer = dy + first * channels + channel; \
      int64_t column = first;                                                                    \
      for (; column + 2 <= end; column += 2, pixel += 2 * step, outer += 2 * channels) {         \
        VECTOR one = LOAD(outer), two = LOAD(outer + channels);                                  \
        _Pragma("clang loop unroll(full)") for (int k = 0; k < TAPS; k++) {                      \
          even[k] += one * LOAD(pixel + k * apart);                                              \
          odd[k] += two * LOAD(pixel + step + k * apart);                                        \
        }                                                                                        \
      }                                                                                          \
      if (column < end)                                                                          \
        for (int k = 0; k < TAPS; k++) even[k] += LOAD(outer) * LOAD(pixel + k * apart);         \
      for (int k = 0; k < TAPS; k++) STORE(dw + k * channels + channel, even[k] + odd[k]);       \
    }                                                                                            \
    for (int64_t channel = channels / WIDTH * WIDTH; channel < channels; channel++)              \
      for (int k = 0; k < TAPS; k++) {                                                           \
        float sum = dw[k * channels + channel];                                                  \
        for (int64_t column = first; column < end; column++)                                     \
          sum += dy[column * channels + channel] * x[column * step + k * apart + channel];       \
        dw[k * channels + channel] = sum;                                                        \
      }                                                                                          \
  }
ROW(1)
ROW(3)
ROW(5)
#undef ROW

// The columns of output for which tap `kx` falls into the image.
static inline void NAME(columns)(
    const thaw_geometry *g, int64_t kx, int64_t *first, int64_t *end) {
  int64_t offset = kx * g->dilation[1] - g->before[1], stride = g->stride[1];
  *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  int64_t last = g->input[1] - 1 - offset;
  *end = last < 0 ? 0 : last / stride + 1;
  if (*end > g->output[1]) *end = g->output[1];
  if (*first > *end) *first = *end;
}

static void NAME(depthwise_backward_weights)(
    const thaw_geometry *g, const float *x, const float *dy, float *dw) {
  int64_t c = g->channels, kernel = g->kernel[1];
  int64_t step = g->stride[1] * c, apart = g->dilation[1] * c;
  int64_t inner_first = 0, inner_end = g->output[1];
  for (int64_t kx = 0; kx < kernel; kx++) {
    int64_t first, end;
    NAME(columns)(g, kx, &first, &end);
    if (first > inner_first) inner_first = first;
    if (end < inner_end) inner_end = end;
  }
  bool joint = (kernel == 3 || kernel == 5) && inner_end > inner_first;
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t ky = 0; ky < g->kernel[0]; ky++) {
      int64_t iy = row * g->stride[0] - g->before[0] + ky * g->dilation[0];
      if (iy < 0 || iy >= g->input[0]) continue;
      const float *source = x + iy * g->input[1] * c, *outer = dy + row * g->output[1] * c;
      const float *origin = source - g->before[1] * c;
      float *target = dw + ky * kernel * c;
      if (joint && kernel == 3)
        NAME(weights_row_3)(origin, outer, inner_first, inner_end, step, apart, c, target);
      if (joint && kernel == 5)
        NAME(weights_row_5)(origin, outer, inner_first, inner_end, step, apart, c, target);
      for (int64_t kx = 0; kx < kernel; kx++) {
        int64_t first, end;
        NAME(columns)(g, kx, &first, &end);
        const float *shifted = origin + kx * apart;
        int64_t split = joint ? inner_first : end, resume = joint ? inner_end : end;
        if (first < split)
          NAME(weights_row_1)(shifted, outer, first, split, step, apart, c, target + kx * c);
        if (resume < end)
          NAME(weights_row_1)(shifted, outer, resume, end, step, apart, c, target + kx * c);
      }
    }
}

// ---- Pooling ------------------------------------------------------------------------------------

#define FOR_EACH_TAP(g, row, column, iy, ix, tap)                                     \
  for (int64_t ky = 0; ky < (g)->kernel[0]; ky++)                                     \
    for (int64_t kx = 0,                                                              \
                 iy = (row) * (g)->stride[0] - (g)->before[0] + ky * (g)->dilation[0]; \
         kx < (g)->kernel[1] && iy >= 0 && iy < (g)->input[0]; kx++)                  \
      for (int64_t ix = (column) * (g)->stride[1] - (g)->before[1] + kx * (g)->dilation[1], \
                   tap = ky * (g)->kernel[1] + kx, once = 1;                          \
           once && ix >= 0 && ix < (g)->input[1]; once = 0)

static void NAME(maximum_forward)(
    const thaw_geometry *g, const float *x, float *y, int32_t *winner) {
  int64_t c = g->channels;
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t column = 0; column < g->output[1]; column++) {
      float *restrict best = y + (row * g->output[1] + column) * c;
      int32_t *restrict won = winner ? winner + (row * g->output[1] + column) * c : NULL;
      for (int64_t i = 0; i < c; i++) best[i] = -__builtin_inff();
      if (won)
        for (int64_t i = 0; i < c; i++) won[i] = -1;
      FOR_EACH_TAP(g, row, column, iy, ix, tap) {
        const float *restrict pixel = x + (iy * g->input[1] + ix) * c;
        if (won) {
          for (int64_t i = 0; i < c; i++) {
            int better = !(pixel[i] <= best[i]) | (won[i] < 0);
            better &= best[i] == best[i];
            best[i] = better ? pixel[i] : best[i];
            won[i] = better ? (int32_t)tap : won[i];
          }
        } else {
          for (int64_t i = 0; i < c; i++) {
            int better = !(pixel[i] <= best[i]) & (best[i] == best[i]);
            best[i] = better ? pixel[i] : best[i];
          }
        }
      }
    }
}

static void NAME(maximum_backward)(
    const thaw_geometry *g, const float *dy, const int32_t *winner, float *dx) {
  int64_t c = g->channels;
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t column = 0; column < g->output[1]; column++) {
      int64_t at = (row * g->output[1] + column) * c;
      const float *restrict outer = dy + at;
      const int32_t *restrict won = winner + at;
      FOR_EACH_TAP(g, row, column, iy, ix, tap) {
        float *restrict target = dx + (iy * g->input[1] + ix) * c;
        for (int64_t i = 0; i < c; i++) target[i] += won[i] == (int32_t)tap ? outer[i] : 0;
      }
    }
}

static void NAME(average_forward)(
    const thaw_geometry *g, const float *x, const float *factor, float *y) {
  int64_t c = g->channels;
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t column = 0; column < g->output[1]; column++) {
      float *restrict sum = y + (row * g->output[1] + column) * c;
      float share = factor[row * g->output[1] + column];
      for (int64_t i = 0; i < c; i++) sum[i] = 0;
      FOR_EACH_TAP(g, row, column, iy, ix, tap) {
        const float *restrict pixel = x + (iy * g->input[1] + ix) * c;
        for (int64_t i = 0; i < c; i++) sum[i] += pixel[i];
        (void)tap;
      }
      for (int64_t i = 0; i < c; i++) sum[i] *= share;
    }
}

static void NAME(average_backward)(
    const thaw_geometry *g, const float *dy, const float *factor, float *dx) {
  int64_t c = g->channels;
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t column = 0; column < g->output[1]; column++) {
      const float *restrict outer = dy + (row * g->output[1] + column) * c;
      float share = factor[row * g->output[1] + column];
      FOR_EACH_TAP(g, row, column, iy, ix, tap) {
        float *restrict target = dx + (iy * g->input[1] + ix) * c;
        for (int64_t i = 0; i < c; i++) target[i] += share * outer[i];
        (void)tap;
      }
    }
}
#undef FOR_EACH_TAP

// ---- Elements -----------------------------------------------------------------------------------

// The result may be one of the operands: element i is read before it is written, nothing else overlaps.
#define IN_PLACE _Pragma("clang loop vectorize(assume_safety)")

static void NAME(add)(float *restrict target, const float *restrict source, int64_t count) {
  for (int64_t i = 0; i < count; i++) target[i] += source[i];
}

static void NAME(sum)(
    const float *left, const float *right, thaw_rectifier rectifier, float *result,
    int64_t count) {
  switch (rectifier) {
    case THAW_IDENTITY:
      IN_PLACE for (int64_t i = 0; i < count; i++) result[i] = left[i] + right[i];
      break;
    case THAW_RELU:
      IN_PLACE for (int64_t i = 0; i < count; i++)
        result[i] = NAME(rectified)(left[i] + right[i], THAW_RELU);
      break;
    case THAW_RELU6:
      IN_PLACE for (int64_t i = 0; i < count; i++)
        result[i] = NAME(rectified)(left[i] + right[i], THAW_RELU6);
      break;
  }
}

static void NAME(rectify)(
    const float *x, thaw_rectifier rectifier, float *result, int64_t count) {
  switch (rectifier) {
    case THAW_IDENTITY:
      IN_PLACE for (int64_t i = 0; i < count; i++) result[i] = x[i];
      break;
    case THAW_RELU:
      IN_PLACE for (int64_t i = 0; i < count; i++) result[i] = NAME(rectified)(x[i], THAW_RELU);
      break;
    case THAW_RELU6:
      IN_PLACE for (int64_t i = 0; i < count; i++) result[i] = NAME(rectified)(x[i], THAW_RELU6);
      break;
  }
}

static void NAME(rectify_backward)(
    const float *dy, const float *y, thaw_rectifier rectifier, float *dx, int64_t count) {
  switch (rectifier) {
    case THAW_IDENTITY:
      IN_PLACE for (int64_t i = 0; i < count; i++) dx[i] = dy[i];
      break;
    case THAW_RELU:
      IN_PLACE for (int64_t i = 0; i < count; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
      break;
    case THAW_RELU6:
      IN_PLACE for (int64_t i = 0; i < count; i++) dx[i] = ((y[i] <= 0) | (y[i] >= 6)) ? 0 : dy[i];
      break;
  }
}

static void NAME(product)(
    const float *restrict left, const float *restrict right, bool accumulates,
    float *restrict result, int64_t count) {
  if (accumulates)
    for (int64_t i = 0; i < count; i++) result[i] += left[i] * right[i];
  else
    for (int64_t i = 0; i < count; i++) result[i] = left[i] * right[i];
}

static void NAME(scale)(float *restrict target, const float *restrict factors, int64_t count) {
  for (int64_t i = 0; i < count; i++) target[i] *= factors[i];
}

// e^x to about 2e-7: 2^n times the series for the rest, |rest| <= ln 2 / 2. NaN stays NaN.
static inline float NAME(exponential)(float x) {
  float bounded = x < -87 ? -87 : x > 88 ? 88 : x;
  const float rounding = 12582912;  // 1.5 * 2^23: adding it rounds to a whole number
  union {
    float value;
    int32_t bits;
  } whole, power;
  whole.value = bounded * 1.44269504f + rounding;
  float n = whole.value - rounding;
  float rest = bounded - n * 0.693359375f + n * 2.12194440e-4f;
  float series = 1.9875691500e-4f;
  series = series * rest + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1;
  power.bits = (int32_t)((uint32_t)(whole.bits - 0x4B400000 + 127) << 23);
  return series * power.value;
}

static inline float NAME(logistic)(float x) { return 1 / (1 + NAME(exponential)(-x)); }

static void NAME(sigmoid)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) y[i] = NAME(logistic)(x[i]);
}

static void NAME(sigmoid_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float s = NAME(logistic)(x[i]);
    dx[i] = dy[i] * s * (1 - s);
  }
}

static void NAME(silu)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) y[i] = x[i] * NAME(logistic)(x[i]);
}

static void NAME(silu_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float s = NAME(logistic)(x[i]);
    dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
  }
}

// The probability of a standard normal variable below x, and in `density` its density there.
//
// Source: Abramowitz and Stegun 1964, 7.1.26, whose error is below 1.5e-7; 0.2316419 = 0.3275911 / sqrt 2.
static inline float NAME(normal)(float x, float *density) {
  float bell = NAME(exponential)(-0.5f * x * x);
  float t = 1 / (1 + 0.23164189f * (x < 0 ? -x : x));
  float series = 1.061405429f;
  series = series * t - 1.453152027f;
  series = series * t + 1.421413741f;
  series = series * t - 0.284496736f;
  series = series * t + 0.254829592f;
  float tail = 0.5f * series * t * bell;
  *density = 0.398942280f * bell;
  return x < 0 ? tail : 1 - tail;
}

static void NAME(gelu)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float density;
    y[i] = x[i] * NAME(normal)(x[i], &density);
  }
}

static void NAME(gelu_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float density, below = NAME(normal)(x[i], &density);
    dx[i] = dy[i] * (below + x[i] * density);
  }
}

// x * logistic(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): 1 + tanh(u) = 2 logistic(2 u).
static void NAME(gelu_tanh)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++)
    y[i] = x[i] * NAME(logistic)(x[i] * (1.59576912f + 0.0713548162f * x[i] * x[i]));
}

static void NAME(gelu_tanh_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float square = x[i] * x[i];
    float s = NAME(logistic)(x[i] * (1.59576912f + 0.0713548162f * square));
    dx[i] = dy[i] * s * (1 + x[i] * (1 - s) * (1.59576912f + 0.214064449f * square));
  }
}

static void NAME(quick_gelu)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) y[i] = x[i] * NAME(logistic)(1.702f * x[i]);
}

static void NAME(quick_gelu_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) {
    float s = NAME(logistic)(1.702f * x[i]);
    dx[i] = dy[i] * s * (1 + 1.702f * x[i] * (1 - s));
  }
}

static inline float NAME(hard_gate)(float x) {
  return x <= -3 ? 0 : x >= 3 ? 1 : x * (1.0f / 6) + 0.5f;
}

static void NAME(hard_sigmoid)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) y[i] = NAME(hard_gate)(x[i]);
}

static void NAME(hard_sigmoid_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++)
    dx[i] = x[i] <= -3 || x[i] >= 3 ? 0 : dy[i] * (1.0f / 6);
}

static void NAME(hard_swish)(const float *x, float *y, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++) y[i] = x[i] * NAME(hard_gate)(x[i]);
}

static void NAME(hard_swish_backward)(const float *dy, const float *x, float *dx, int64_t count) {
  IN_PLACE for (int64_t i = 0; i < count; i++)
    dx[i] = dy[i] * (x[i] <= -3 ? 0 : x[i] >= 3 ? 1 : x[i] * (1.0f / 3) + 0.5f);
}

// Philox-4x32-10 (Salmon et al. 2011), eight 16-bit numbers a block; many blocks at a time.
static void NAME(keep_mask)(
    const uint32_t key[2], const uint32_t domain[2], uint32_t era, int64_t first, int64_t count,
    uint32_t threshold, float kept, float *restrict factors) {
  enum { BLOCKS = 16 };
  uint32_t words[4][BLOCKS];
  int64_t block = first / 8, done = 0;
  while (done < count) {
    for (int b = 0; b < BLOCKS; b++) {
      words[0][b] = (uint32_t)(block + b);
      words[1][b] = era + (uint32_t)((uint64_t)(block + b) >> 32);
      words[2][b] = domain[0];
      words[3][b] = domain[1];
    }
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85)
      for (int b = 0; b < BLOCKS; b++) {
        uint64_t low = (uint64_t)0xD2511F53 * words[0][b];
        uint64_t high = (uint64_t)0xCD9E8D57 * words[2][b];
        words[0][b] = (uint32_t)(high >> 32) ^ words[1][b] ^ k0;
        words[1][b] = (uint32_t)high;
        words[2][b] = (uint32_t)(low >> 32) ^ words[3][b] ^ k1;
        words[3][b] = (uint32_t)low;
      }
    float ready[8 * BLOCKS];
    for (int b = 0; b < BLOCKS; b++)
      for (int word = 0; word < 4; word++) {
        ready[8 * b + 2 * word] = (words[word][b] & 0xFFFF) < threshold ? 0 : kept;
        ready[8 * b + 2 * word + 1] = (words[word][b] >> 16) < threshold ? 0 : kept;
      }
    int64_t skip = done == 0 ? first % 8 : 0;
    int64_t take = 8 * BLOCKS - skip < count - done ? 8 * BLOCKS - skip : count - done;
    for (int64_t i = 0; i < take; i++) factors[done + i] = ready[skip + i];
    done += take;
    block += BLOCKS;
  }
}

// ---- Rows of channels ---------------------------------------------------------------------------
//
// Sums run in Float over at most RUN_ROWS rows for one block of channels, then go on in Double: that
// keeps the vector units at work and the error at that of a short sum.

#define RUN_ROWS 64
#define CHANNEL_BLOCK 64

// Calls BODY for `first`, `size` of each block and adds the two partial sums to the doubles.
#define SUM_BLOCKS(BODY)                                                                \
  for (int64_t begin = 0; begin < rows; begin += RUN_ROWS) {                            \
    int64_t end = rows - begin < RUN_ROWS ? rows : begin + RUN_ROWS;                    \
    for (int64_t first = 0; first < channels; first += CHANNEL_BLOCK) {                 \
      int64_t size = channels - first < CHANNEL_BLOCK ? channels - first : CHANNEL_BLOCK; \
      float one[CHANNEL_BLOCK] = {0}, two[CHANNEL_BLOCK] = {0};                         \
      for (int64_t row = begin; row < end; row++) {                                     \
        int64_t at = row * channels + first;                                            \
        if (size == CHANNEL_BLOCK)                                                      \
          for (int64_t i = 0; i < CHANNEL_BLOCK; i++) BODY                              \
        else                                                                            \
          for (int64_t i = 0; i < size; i++) BODY                                       \
      }                                                                                 \
      for (int64_t i = 0; i < size; i++) sums[first + i] += (double)one[i];             \
      if (pairs)                                                                        \
        for (int64_t i = 0; i < size; i++) pairs[first + i] += (double)two[i];          \
    }                                                                                   \
  }

// Two passes over each run of rows, which the first level of cache holds, then one merge in Double.
static void NAME(moments)(
    const float *restrict x, int64_t rows, int64_t channels, int64_t seen, double *restrict means,
    double *restrict squares) {
  for (int64_t begin = 0; begin < rows; begin += RUN_ROWS) {
    int64_t end = rows - begin < RUN_ROWS ? rows : begin + RUN_ROWS;
    double count = (double)(end - begin), before = (double)(seen + begin);
    for (int64_t first = 0; first < channels; first += CHANNEL_BLOCK) {
      int64_t size = channels - first < CHANNEL_BLOCK ? channels - first : CHANNEL_BLOCK;
      float sum[CHANNEL_BLOCK] = {0}, mean[CHANNEL_BLOCK], square[CHANNEL_BLOCK] = {0};
      for (int64_t row = begin; row < end; row++)
        for (int64_t i = 0; i < size; i++) sum[i] += x[row * channels + first + i];
      for (int64_t i = 0; i < size; i++) mean[i] = sum[i] / (float)(end - begin);
      for (int64_t row = begin; row < end; row++)
        for (int64_t i = 0; i < size; i++) {
          float centred = x[row * channels + first + i] - mean[i];
          square[i] += centred * centred;
        }
      for (int64_t i = 0; i < size; i++) {
        double delta = (double)mean[i] - means[first + i];
        means[first + i] += delta * count / (before + count);
        squares[first + i] += (double)square[i] + delta * delta * before * count / (before + count);
      }
    }
  }
}

static void NAME(gradient_moments)(
    const float *restrict dy, const float *restrict x, const float *restrict mean, int64_t rows,
    int64_t channels, double *restrict sums, double *restrict pairs) {
  SUM_BLOCKS({
    one[i] += dy[at + i];
    two[i] += dy[at + i] * (x[at + i] - mean[first + i]);
  })
}

static void NAME(channel_sums)(
    const float *restrict x, int64_t rows, int64_t channels, double *restrict sums) {
  double *pairs = NULL;
  SUM_BLOCKS({ one[i] += x[at + i]; })
}
#undef SUM_BLOCKS
#undef CHANNEL_BLOCK
#undef RUN_ROWS

static inline __attribute__((always_inline)) void NAME(affine_rows)(
    const float *x, const float *restrict scale, const float *restrict shift, const float *other,
    thaw_rectifier rectifier, int64_t rows, int64_t channels, float *y) {
  for (int64_t row = 0; row < rows; row++, x += channels, y += channels) {
    IN_PLACE for (int64_t i = 0; i < channels; i++) {
      float value = scale[i] * x[i] + shift[i];
      if (other) value += other[i];
      y[i] = NAME(rectified)(value, rectifier);
    }
    if (other) other += channels;
  }
}

static void NAME(affine)(
    const float *x, const float *scale, const float *shift, const float *other,
    thaw_rectifier rectifier, int64_t rows, int64_t channels, float *y) {
#define AFFINE(R)                                                                     \
  if (other) NAME(affine_rows)(x, scale, shift, other, R, rows, channels, y);         \
  else NAME(affine_rows)(x, scale, shift, NULL, R, rows, channels, y);
  switch (rectifier) {
    case THAW_IDENTITY: AFFINE(THAW_IDENTITY) break;
    case THAW_RELU: AFFINE(THAW_RELU) break;
    case THAW_RELU6: AFFINE(THAW_RELU6) break;
  }
#undef AFFINE
}

static void NAME(affine_backward)(
    const float *dy, const float *x, const float *a, const float *b, const float *c,
    bool accumulates, int64_t rows, int64_t channels, float *dx) {
  for (int64_t row = 0; row < rows; row++) {
    int64_t at = row * channels;
    if (!x && accumulates)
      IN_PLACE for (int64_t i = 0; i < channels; i++) dx[at + i] += a[i] * dy[at + i] + c[i];
    else if (!x)
      IN_PLACE for (int64_t i = 0; i < channels; i++) dx[at + i] = a[i] * dy[at + i] + c[i];
    else if (accumulates)
      IN_PLACE for (int64_t i = 0; i < channels; i++)
        dx[at + i] += a[i] * dy[at + i] + (b[i] * x[at + i] + c[i]);
    else
      IN_PLACE for (int64_t i = 0; i < channels; i++)
        dx[at + i] = a[i] * dy[at + i] + (b[i] * x[at + i] + c[i]);
  }
}

// ---- Layer normalisation ------------------------------------------------------------------------

// The sum of all elements of four vectors.
static inline float NAME(total)(VECTOR a, VECTOR b, VECTOR c, VECTOR d) {
  VECTOR sum = (a + b) + (c + d);
  float result = 0;
  for (int i = 0; i < WIDTH; i++) result += sum[i];
  return result;
}

// Mean, and 1 / sqrt(variance + epsilon), of one row, in two passes.
static inline void NAME(row_moments)(
    const float *x, int64_t channels, float epsilon, float *mean, float *inverse) {
  int64_t step = 4 * WIDTH, whole = channels / step * step;
  VECTOR sum[4] = {{0}}, square[4] = {{0}};
  for (int64_t i = 0; i < whole; i += step)
    for (int k = 0; k < 4; k++) sum[k] += LOAD(x + i + k * WIDTH);
  float total = NAME(total)(sum[0], sum[1], sum[2], sum[3]);
  for (int64_t i = whole; i < channels; i++) total += x[i];
  float centre = total / (float)channels;
  for (int64_t i = 0; i < whole; i += step)
    for (int k = 0; k < 4; k++) {
      VECTOR centred = LOAD(x + i + k * WIDTH) - centre;
      square[k] += centred * centred;
    }
  total = NAME(total)(square[0], square[1], square[2], square[3]);
  for (int64_t i = whole; i < channels; i++) total += (x[i] - centre) * (x[i] - centre);
  *mean = centre;
  *inverse = 1 / __builtin_sqrtf(total / (float)channels + epsilon);
}

static void NAME(layer_norm)(
    const float *x, const float *gamma, const float *beta, float epsilon, int64_t rows,
    int64_t channels, float *y) {
  for (int64_t row = 0; row < rows; row++, x += channels, y += channels) {
    float mean, inverse;
    NAME(row_moments)(x, channels, epsilon, &mean, &inverse);
    IN_PLACE for (int64_t i = 0; i < channels; i++)
      y[i] = gamma[i] * ((x[i] - mean) * inverse) + beta[i];
  }
}

// With normalised x^ and d = gamma * dy, over the n channels of a row:
//   dx = inverse * (d - sum(d) / n - x^ * sum(d * x^) / n),  dgamma = sum(dy * x^), dbeta = sum(dy)
static void NAME(layer_norm_backward)(
    const float *dy, const float *x, const float *gamma, float epsilon, int64_t rows,
    int64_t channels, bool accumulates, float *dx, double *gamma_sums, double *beta_sums) {
  int64_t whole = channels / WIDTH * WIDTH;
  for (int64_t row = 0; row < rows; row++, x += channels, dy += channels) {
    float mean, inverse;
    NAME(row_moments)(x, channels, epsilon, &mean, &inverse);
    if (gamma_sums)
      for (int64_t i = 0; i < channels; i++) {
        gamma_sums[i] += (double)(dy[i] * ((x[i] - mean) * inverse));
        beta_sums[i] += (double)dy[i];
      }
    if (!dx) continue;
    VECTOR sums = {0}, products = {0}, none = {0};
    for (int64_t i = 0; i < whole; i += WIDTH) {
      VECTOR inner = LOAD(gamma + i) * LOAD(dy + i);
      sums += inner;
      products += inner * (LOAD(x + i) - mean);
    }
    float sum = NAME(total)(sums, none, none, none);
    float product = NAME(total)(products, none, none, none);
    for (int64_t i = whole; i < channels; i++) {
      sum += gamma[i] * dy[i];
      product += gamma[i] * dy[i] * (x[i] - mean);
    }
    float share = sum / (float)channels;
    float projection = product * inverse * inverse / (float)channels;
    for (int64_t i = 0; i < channels; i++) {
      float value = inverse * (gamma[i] * dy[i] - share - (x[i] - mean) * projection);
      dx[i] = accumulates ? dx[i] + value : value;
    }
    dx += channels;
  }
}

// ---- Softmax ------------------------------------------------------------------------------------

// Of one row: the largest element, the exponentials of the distances from it, their sum. NaN does not
// win the comparison, but its exponential makes the sum NaN.
static void NAME(softmax)(float *x, float scale, int64_t rows, int64_t columns) {
  int64_t whole = columns / WIDTH * WIDTH;
  for (int64_t row = 0; row < rows; row++, x += columns) {
    VECTOR most = {0};
    most += x[0];
    for (int64_t i = 0; i < whole; i += WIDTH) {
      VECTOR value = LOAD(x + i);
      MASK above = value > most;
      most = (VECTOR)((above & (MASK)value) | (~above & (MASK)most));
    }
    float largest = x[0];
    for (int i = 0; i < WIDTH; i++) largest = most[i] > largest ? most[i] : largest;
    for (int64_t i = whole; i < columns; i++) largest = x[i] > largest ? x[i] : largest;
    IN_PLACE for (int64_t i = 0; i < columns; i++)
      x[i] = NAME(exponential)(scale * (x[i] - largest));
    VECTOR sums = {0}, none = {0};
    for (int64_t i = 0; i < whole; i += WIDTH) sums += LOAD(x + i);
    float sum = NAME(total)(sums, none, none, none);
    for (int64_t i = whole; i < columns; i++) sum += x[i];
    float inverse = 1 / sum;
    for (int64_t i = 0; i < columns; i++) x[i] *= inverse;
  }
}

static void NAME(softmax_backward)(
    float *d, const float *p, float scale, int64_t rows, int64_t columns) {
  int64_t whole = columns / WIDTH * WIDTH;
  for (int64_t row = 0; row < rows; row++, d += columns, p += columns) {
    VECTOR sums = {0}, none = {0};
    for (int64_t i = 0; i < whole; i += WIDTH) sums += LOAD(d + i) * LOAD(p + i);
    float sum = NAME(total)(sums, none, none, none);
    for (int64_t i = whole; i < columns; i++) sum += d[i] * p[i];
    IN_PLACE for (int64_t i = 0; i < columns; i++) d[i] = scale * p[i] * (d[i] - sum);
  }
}

static void NAME(turn)(
    const float *x, int64_t x_stride, const float *bias, const float *cosines, const float *sines,
    int64_t prefix, int64_t rows, int64_t width, float direction, float *y, int64_t y_stride) {
  int64_t half = width / 2;
  for (int64_t row = 0; row < prefix; row++, x += x_stride, y += y_stride)
    if (bias) {
      IN_PLACE for (int64_t c = 0; c < width; c++) y[c] = x[c] + bias[c];
    } else {
      IN_PLACE for (int64_t c = 0; c < width; c++) y[c] = x[c];
    }
  for (int64_t row = 0; row < rows; row++) {
    if (bias) {
      IN_PLACE for (int64_t c = 0; c < half; c++) {
        float left = x[c] + bias[c], right = x[c + half] + bias[c + half];
        y[c] = left * cosines[c] - direction * right * sines[c];
        y[c + half] = right * cosines[c] + direction * left * sines[c];
      }
    } else {
      IN_PLACE for (int64_t c = 0; c < half; c++) {
        float left = x[c], right = x[c + half];
        y[c] = left * cosines[c] - direction * right * sines[c];
        y[c + half] = right * cosines[c] + direction * left * sines[c];
      }
    }
    x += x_stride, y += y_stride, cosines += half, sines += half;
  }
}

// ---- Order --------------------------------------------------------------------------------------

static void NAME(transpose)(
    const float *restrict source, int64_t rows, int64_t columns, bool accumulates,
    float *restrict target) {
  enum { SIDE = 16 };
  for (int64_t top = 0; top < rows; top += SIDE)
    for (int64_t left = 0; left < columns; left += SIDE) {
      int64_t bottom = top + SIDE < rows ? top + SIDE : rows;
      int64_t right = left + SIDE < columns ? left + SIDE : columns;
      for (int64_t column = left; column < right; column++)
        if (accumulates)
          for (int64_t row = top; row < bottom; row++)
            target[column * rows + row] += source[row * columns + column];
        else
          for (int64_t row = top; row < bottom; row++)
            target[column * rows + row] = source[row * columns + column];
    }
}

static const kernel_table NAME(table) = {
    NAME(depthwise_forward), NAME(depthwise_backward_data), NAME(depthwise_backward_weights),
    NAME(maximum_forward), NAME(maximum_backward), NAME(average_forward), NAME(average_backward),
    NAME(add), NAME(sum), NAME(rectify), NAME(rectify_backward), NAME(product), NAME(moments),
    NAME(gradient_moments), NAME(channel_sums), NAME(affine), NAME(affine_backward),
    NAME(transpose), NAME(scale), NAME(sigmoid), NAME(sigmoid_backward), NAME(silu),
    NAME(silu_backward), NAME(gelu), NAME(gelu_backward), NAME(gelu_tanh),
    NAME(gelu_tanh_backward), NAME(quick_gelu), NAME(quick_gelu_backward), NAME(hard_sigmoid),
    NAME(hard_sigmoid_backward), NAME(hard_swish), NAME(hard_swish_backward), NAME(softmax),
    NAME(softmax_backward), NAME(turn), NAME(layer_norm),
    NAME(layer_norm_backward), NAME(keep_mask)};

#undef IN_PLACE
