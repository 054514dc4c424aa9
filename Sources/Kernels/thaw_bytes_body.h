// SPDX-License-Identifier: Apache-2.0
//
// The byte kernels for one instruction set; thaw_bytes.c includes this file once for each, with NAME, WIDTH
// (32-bit lanes of a vector) and LEVEL defined.

typedef int32_t NAME(ints) __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef float NAME(floats) __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef uint8_t NAME(bytes) __attribute__((vector_size(WIDTH), aligned(1)));
typedef int8_t NAME(weights) __attribute__((vector_size(WIDTH), aligned(1)));
#define INTS NAME(ints)
#define FLOATS NAME(floats)
#define BYTES NAME(bytes)
#define LOAD_INTS(address) (*(const INTS *)(address))
#define LOAD_FLOATS(address) (*(const FLOATS *)(address))
#define INLINE static inline __attribute__((always_inline))

INLINE INTS NAME(widened)(const uint8_t *from) {
  return __builtin_convertvector(*(const BYTES *)from, INTS);
}

// ---- From sums to results -----------------------------------------------------------------------

// v > bound ? v : bound and v < bound ? v : bound, which is what the instructions do too.
#if LEVEL >= 2
INLINE FLOATS NAME(at_least)(FLOATS v, float bound) {
  return (FLOATS)_mm512_max_ps((__m512)v, _mm512_set1_ps(bound));
}
INLINE FLOATS NAME(at_most)(FLOATS v, float bound) {
  return (FLOATS)_mm512_min_ps((__m512)v, _mm512_set1_ps(bound));
}
#elif LEVEL == 1
INLINE FLOATS NAME(at_least)(FLOATS v, float bound) {
  return (FLOATS)_mm256_max_ps((__m256)v, _mm256_set1_ps(bound));
}
INLINE FLOATS NAME(at_most)(FLOATS v, float bound) {
  return (FLOATS)_mm256_min_ps((__m256)v, _mm256_set1_ps(bound));
}
#else
INLINE FLOATS NAME(select)(INTS mask, FLOATS yes, FLOATS no) {
  return (FLOATS)((mask & (INTS)yes) | (~mask & (INTS)no));
}
INLINE FLOATS NAME(at_least)(FLOATS v, float bound) {
  FLOATS b = bound - (FLOATS){0};
  return NAME(select)(v > b, v, b);
}
INLINE FLOATS NAME(at_most)(FLOATS v, float bound) {
  FLOATS b = bound - (FLOATS){0};
  return NAME(select)(v < b, v, b);
}
#endif

// Adding and taking away 1.5 * 2^23 rounds to nearest even whatever the instructions.
INLINE FLOATS NAME(rounded)(FLOATS v) { return (v + 12582912.0f) - 12582912.0f; }

// 1 / (1 + exp(-v)), the same operations everywhere.
INLINE FLOATS NAME(logistic)(FLOATS v) {
  FLOATS x = NAME(at_most)(NAME(at_least)(-v, -80.0f), 80.0f);
  FLOATS n = NAME(rounded)(x * 1.44269504f);
  FLOATS r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  FLOATS p = r * 1.9875691e-4f + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 0.5f;
  p = (p * (r * r) + r) + 1.0f;
  INTS power = (__builtin_convertvector(n, INTS) + 127) << 23;
  return 1.0f / (1.0f + p * (FLOATS)power);
}

INLINE FLOATS NAME(hard_gate)(FLOATS v) {
  return NAME(at_most)(NAME(at_least)(v + 3.0f, 0.0f), 6.0f) / 6.0f;
}

INLINE FLOATS NAME(applied)(FLOATS v, thaw_byte_function function) {
  switch (function) {
    case THAW_BYTE_IDENTITY: return v;
    case THAW_BYTE_RELU: return NAME(at_least)(v, 0.0f);
    case THAW_BYTE_RELU6: return NAME(at_most)(NAME(at_least)(v, 0.0f), 6.0f);
    case THAW_BYTE_SILU: return v * NAME(logistic)(v);
    case THAW_BYTE_SIGMOID: return NAME(logistic)(v);
    case THAW_BYTE_HARD_SIGMOID: return NAME(hard_gate)(v);
    case THAW_BYTE_HARD_SWISH: return v * NAME(hard_gate)(v);
  }
  return v;
}

// The bytes that real numbers become, as integers.
INLINE INTS NAME(quantized)(FLOATS v, float inverse, int32_t zero) {
  v = NAME(at_most)(NAME(at_least)(v * inverse, (float)-zero), (float)(255 - zero));
  return __builtin_convertvector(NAME(rounded)(v), INTS) + zero;
}

INLINE void NAME(store)(INTS bytes, uint8_t *to, int64_t count) {
  BYTES narrow = __builtin_convertvector(bytes, BYTES);
  if (count >= WIDTH) {
    *(BYTES *)to = narrow;
  } else {
    for (int64_t i = 0; i < count; i++) to[i] = narrow[i];
  }
}

// Ends WIDTH numbers that are real already and writes the first `count` of them.
INLINE void NAME(end_real)(
    FLOATS v, const thaw_byte_ending *e, thaw_byte_function function, bool floats,
    const uint8_t *residual, void *y, int64_t at, int64_t count) {
  if (residual) {
    INTS other;
    if (count >= WIDTH) {
      other = NAME(widened)(residual);
    } else {
      other = (INTS){0};
      for (int64_t i = 0; i < count; i++) other[i] = residual[i];
    }
    v = v + __builtin_convertvector(other - e->residual_zero, FLOATS) * e->residual_scale;
  }
  v = NAME(applied)(v, function);
  if (floats) {
    float *to = (float *)y + at;
    if (count >= WIDTH) {
      *(FLOATS *)to = v;
    } else {
      for (int64_t i = 0; i < count; i++) to[i] = v[i];
    }
  } else {
    NAME(store)(NAME(quantized)(v, e->inverse, e->zero), (uint8_t *)y + at, count);
  }
}

INLINE void NAME(end)(
    INTS sum, FLOATS factor, const thaw_byte_ending *e, const uint8_t *residual, void *y,
    int64_t at, int64_t count) {
  FLOATS v = __builtin_convertvector(sum, FLOATS) * factor;
  // The frequent ones as code of their own, without a branch for each vector's function.
  if (!e->floats && e->function == THAW_BYTE_RELU) {
    NAME(end_real)(v, e, THAW_BYTE_RELU, false, residual, y, at, count);
  } else if (!e->floats && e->function == THAW_BYTE_IDENTITY) {
    NAME(end_real)(v, e, THAW_BYTE_IDENTITY, false, residual, y, at, count);
  } else {
    NAME(end_real)(v, e, e->function, e->floats, residual, y, at, count);
  }
}

// ---- Convolution --------------------------------------------------------------------------------
//
// WIDTH outputs times four inputs a product. `dot` adds the four products of each lane.

typedef struct {
  INTS even, odd;
} NAME(quad);

#if LEVEL == 3
INLINE INTS NAME(broadcast)(const uint8_t *from) {
  int32_t four;
  memcpy(&four, from, 4);
  return (INTS)_mm512_set1_epi32(four);
}
INLINE INTS NAME(dot)(INTS sum, INTS x, INTS w) {
  return (INTS)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}
typedef INTS NAME(pixel4);
typedef INTS NAME(weight4);
INLINE NAME(pixel4) NAME(pixel)(const uint8_t *from) { return NAME(broadcast)(from); }
INLINE NAME(pixel4) NAME(pixel_of)(INTS x) { return x; }
INLINE NAME(weight4) NAME(weight)(const int8_t *from) { return LOAD_INTS(from); }
#elif LEVEL >= 1
// Without VNNI: 16-bit halves, whose pairs of products are summed in 32 bits without saturation.
typedef NAME(quad) NAME(pixel4);
typedef NAME(quad) NAME(weight4);
INLINE NAME(pixel4) NAME(pixel_of)(INTS x) {
  NAME(pixel4) result;
  result.even = x & 0x00FF00FF;
#if LEVEL == 2
  result.odd = (INTS)_mm512_srli_epi16((__m512i)x, 8);
#else
  result.odd = (INTS)_mm256_srli_epi16((__m256i)x, 8);
#endif
  return result;
}
INLINE NAME(pixel4) NAME(pixel)(const uint8_t *from) {
  int32_t four;
  memcpy(&four, from, 4);
  return NAME(pixel_of)((INTS){0} + four);
}
INLINE NAME(weight4) NAME(weight)(const int8_t *from) {
  NAME(weight4) result;
  INTS w = LOAD_INTS(from);
#if LEVEL == 2
  result.even = (INTS)_mm512_srai_epi16(_mm512_slli_epi16((__m512i)w, 8), 8);
  result.odd = (INTS)_mm512_srai_epi16((__m512i)w, 8);
#else
  result.even = (INTS)_mm256_srai_epi16(_mm256_slli_epi16((__m256i)w, 8), 8);
  result.odd = (INTS)_mm256_srai_epi16((__m256i)w, 8);
#endif
  return result;
}
INLINE INTS NAME(dot)(INTS sum, NAME(pixel4) x, NAME(weight4) w) {
#if LEVEL == 2
  sum += (INTS)_mm512_madd_epi16((__m512i)x.even, (__m512i)w.even);
  return sum + (INTS)_mm512_madd_epi16((__m512i)x.odd, (__m512i)w.odd);
#else
  sum += (INTS)_mm256_madd_epi16((__m256i)x.even, (__m256i)w.even);
  return sum + (INTS)_mm256_madd_epi16((__m256i)x.odd, (__m256i)w.odd);
#endif
}
#else
typedef INTS NAME(pixel4);
typedef INTS NAME(weight4);
INLINE NAME(pixel4) NAME(pixel_of)(INTS x) { return x; }
INLINE NAME(pixel4) NAME(pixel)(const uint8_t *from) {
  int32_t four;
  memcpy(&four, from, 4);
  return (INTS){0} + four;
}
INLINE NAME(weight4) NAME(weight)(const int8_t *from) { return LOAD_INTS(from); }
INLINE INTS NAME(dot)(INTS sum, NAME(pixel4) x, NAME(weight4) w) {
  for (int byte = 0; byte < 4; byte++) {
    INTS left = (x >> (8 * byte)) & 255;
    sum += left * ((w << (24 - 8 * byte)) >> 24);
  }
  return sum;
}
#endif

// Makes results of the sums of `count` pixels.
static __attribute__((noinline)) void NAME(finish)(
    int count, int vectors, const INTS *sums, const thaw_byte_geometry *g,
    const thaw_byte_ending *e, int64_t pixel, int64_t channel, void *y) {
  int64_t writable = e->floats ? g->channels : g->result_step;
  for (int v = 0; v < vectors; v++) {
    int64_t c = channel + v * WIDTH;
    if (writable <= c) break;
    FLOATS factor = LOAD_FLOATS(e->factor + c);
    const uint8_t *residual =
        e->residual ? e->residual + pixel * e->residual_step + c : NULL;
    for (int p = 0; p < count; p++) {
      NAME(end)(
          sums[p * vectors + v], factor, e, residual, y, (pixel + p) * g->result_step + c,
          writable - c);
      if (residual) residual += e->residual_step;
    }
  }
}

// VECTORS vectors of outputs for COUNT pixels.
INLINE void NAME(tile)(
    const int COUNT, const int VECTORS, const thaw_byte_geometry *g, const uint8_t *const *x,
    const int64_t *taps, int64_t tap_count, int64_t depth, const int8_t *w, int64_t block,
    const int32_t *bias, const thaw_byte_ending *e, int64_t pixel, int64_t channel, void *y) {
  INTS sum[8][4];
  _Pragma("clang loop unroll(full)") for (int p = 0; p < COUNT; p++)
      _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) sum[p][v] =
          LOAD_INTS(bias + channel + v * WIDTH);
  const uint8_t *at[8];
  for (int64_t tap = 0; tap < tap_count; tap++) {
    _Pragma("clang loop unroll(full)") for (int p = 0; p < COUNT; p++) at[p] = x[p] + taps[tap];
    const int8_t *tw = w + tap * depth * 16;
    for (int64_t k = 0; k < depth; k += 4) {
      NAME(weight4) weights[4];
      _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) weights[v] =
          NAME(weight)(
              tw + (v * WIDTH / 16) * block + k * 16 + (v * WIDTH % 16) * 4);
      _Pragma("clang loop unroll(full)") for (int p = 0; p < COUNT; p++) {
        NAME(pixel4) four = NAME(pixel)(at[p] + k);
        _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) sum[p][v] =
            NAME(dot)(sum[p][v], four, weights[v]);
      }
    }
  }
  // Through memory: what follows is too long to be repeated for every sum in its register.
  INTS done[8 * 4];
  _Pragma("clang loop unroll(full)") for (int p = 0; p < COUNT; p++)
      _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) done[p * VECTORS + v] =
          sum[p][v];
  NAME(finish)(COUNT, VECTORS, done, g, e, pixel, channel, y);
}

#define TILE(COUNT, VECTORS)                                                                \
  case COUNT:                                                                               \
    NAME(tile)(                                                                             \
        COUNT, VECTORS, g, x, taps, tap_count, depth, w, block, bias, e, pixel, channel, y); \
    break;
#define TILES(VECTORS, MORE)                                                                      \
  static __attribute__((noinline)) void NAME(tiles_##VECTORS)(                                    \
      int count, const thaw_byte_geometry *g, const uint8_t *const *x, const int64_t *taps,       \
      int64_t tap_count, int64_t depth, const int8_t *w, int64_t block, const int32_t *bias,      \
      const thaw_byte_ending *e, int64_t pixel, int64_t channel, void *y) {                       \
    switch (count) {                                                                              \
      TILE(1, VECTORS)                                                                            \
      TILE(2, VECTORS)                                                                            \
      TILE(3, VECTORS)                                                                            \
      TILE(4, VECTORS)                                                                            \
      MORE                                                                                        \
    }                                                                                             \
  }
#if LEVEL >= 2
#define MOST_4 TILE(5, 4) TILE(6, 4)
#define MOST_3 TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3)
#define MOST_2 TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(8, 2)
#define MOST_1 TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1)
TILES(4, MOST_4)
TILES(3, MOST_3)
TILES(2, MOST_2)
TILES(1, MOST_1)
#else
TILES(2, )
TILES(1, )
#endif

static void NAME(convolution)(
    const thaw_byte_geometry *g, const uint8_t *image, const int8_t *packed, const int32_t *bias,
    const thaw_byte_ending *e, void *y) {
  int64_t taps[256], tap_count = 0, depth = g->depth;
  if (g->dilation[1] == 1 && g->depth == g->step) {
    // A row of the window lies in one piece.
    depth = g->depth * g->kernel[1];
    for (int64_t ky = 0; ky < g->kernel[0]; ky++)
      taps[tap_count++] = ky * g->dilation[0] * g->input[1] * g->step;
  } else {
    for (int64_t ky = 0; ky < g->kernel[0]; ky++)
      for (int64_t kx = 0; kx < g->kernel[1]; kx++)
        taps[tap_count++] =
            (ky * g->dilation[0] * g->input[1] + kx * g->dilation[1]) * g->step;
  }
  int64_t block = tap_count * depth * 16;
  int64_t vectors = (g->channels + WIDTH - 1) / WIDTH;
  int64_t pixels = g->output[0] * g->output[1];
  for (int64_t first = 0; first < vectors;) {
    int64_t left = vectors - first;
#if LEVEL >= 2
    int64_t wide = left >= 4 ? (left == 5 ? 3 : 4) : left;
    int64_t most = wide == 4 ? 6 : 8;
#else
    // Within one block of 16.
    int64_t wide = left >= 2 && first % 2 == 0 ? 2 : 1;
    int64_t most = 4;
#endif
    int64_t channel = first * WIDTH;
    const int8_t *w = packed + channel / 16 * block + channel % 16 * 4;
    int64_t row = 0, column = 0;
    for (int64_t pixel = 0; pixel < pixels;) {
      int64_t count = pixels - pixel < most ? pixels - pixel : most;
      const uint8_t *x[8];
      for (int64_t p = 0; p < count; p++) {
        x[p] = image + (row * g->stride[0] * g->input[1] + column * g->stride[1]) * g->step;
        if (++column == g->output[1]) {
          column = 0;
          row++;
        }
      }
      switch (wide) {
#if LEVEL >= 2
        case 4:
          NAME(tiles_4)((int)count, g, x, taps, tap_count, depth, w, block, bias, e, pixel, channel, y);
          break;
        case 3:
          NAME(tiles_3)((int)count, g, x, taps, tap_count, depth, w, block, bias, e, pixel, channel, y);
          break;
#endif
        case 2:
          NAME(tiles_2)((int)count, g, x, taps, tap_count, depth, w, block, bias, e, pixel, channel, y);
          break;
        default:
          NAME(tiles_1)((int)count, g, x, taps, tap_count, depth, w, block, bias, e, pixel, channel, y);
      }
      pixel += count;
    }
    first += wide;
  }
}
#undef TILE
#undef TILES
#undef MOST_1
#undef MOST_2
#undef MOST_3
#undef MOST_4

// ---- Depthwise convolution ----------------------------------------------------------------------
//
// Four neighbouring columns of a channel are brought side by side, so that one product takes up to four taps
// of a row. A step makes OUTPUTS results of QUADS * 4 columns; the weights of result j are shifted by j
// strides. Bringing them together leaves the channels of 64 in the order that thaw_bytes_depthwise_order
// tells, and packing the results puts them back.

#if LEVEL >= 1
#if LEVEL >= 2
#define LANES 4
typedef __m512i NAME(group);
#define LOAD_GROUP(from, mask) _mm512_maskz_loadu_epi8(mask, from)
#define OP(name) _mm512_##name
#else
#define LANES 2
typedef __m256i NAME(group);
#define LOAD_GROUP(from, mask) _mm256_loadu_si256((const __m256i *)(from))
#define OP(name) _mm256_##name
#endif
#define GROUP NAME(group)

// One step for 16 * LANES channels; `half` is the place in the 64 that the weights are packed for.
INLINE void NAME(depthwise_step)(
    const int KERNEL, const int STRIDE, const int QUADS, const int OUTPUTS,
    const thaw_byte_geometry *g, const uint8_t *x, uint64_t mask, const int8_t *w,
    const int32_t *bias, const thaw_byte_ending *e, int64_t writes, int64_t live,
    void *y) {
  (void)mask;
  (void)live;
  INTS sum[4][4];
  _Pragma("clang loop unroll(full)") for (int j = 0; j < OUTPUTS; j++)
      _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) sum[j][i] =
          LOAD_INTS(bias + i * 16);
  for (int64_t ky = 0; ky < KERNEL; ky++) {
    const uint8_t *row = x + ky * g->input[1] * g->step;
    _Pragma("clang loop unroll(full)") for (int q = 0; q < QUADS; q++) {
      GROUP c0 = LOAD_GROUP(row + (4 * q) * g->step, mask);
      GROUP c1 = LOAD_GROUP(row + (4 * q + 1) * g->step, mask);
      GROUP c2 = LOAD_GROUP(row + (4 * q + 2) * g->step, mask);
      GROUP c3 = LOAD_GROUP(row + (4 * q + 3) * g->step, mask);
      GROUP low = OP(unpacklo_epi8)(c0, c1), high = OP(unpackhi_epi8)(c0, c1);
      GROUP low2 = OP(unpacklo_epi8)(c2, c3), high2 = OP(unpackhi_epi8)(c2, c3);
      NAME(pixel4) four[4] = {
          NAME(pixel_of)((INTS)OP(unpacklo_epi16)(low, low2)),
          NAME(pixel_of)((INTS)OP(unpackhi_epi16)(low, low2)),
          NAME(pixel_of)((INTS)OP(unpacklo_epi16)(high, high2)),
          NAME(pixel_of)((INTS)OP(unpackhi_epi16)(high, high2))};
      _Pragma("clang loop unroll(full)") for (int j = 0; j < OUTPUTS; j++) {
        // The taps of result j in these four columns.
        if (j * STRIDE >= 4 * q + 4 || j * STRIDE + KERNEL <= 4 * q) continue;
        const int8_t *at = w + (((ky * QUADS) + q) * OUTPUTS + j) * 256;
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) sum[j][i] =
            NAME(dot)(sum[j][i], four[i], NAME(weight)(at + i * 64));
      }
    }
  }
  _Pragma("clang loop unroll(full)") for (int j = 0; j < OUTPUTS; j++) {
    if (j >= writes) break;
    INTS result[4];
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
      FLOATS v = __builtin_convertvector(sum[j][i], FLOATS) * LOAD_FLOATS(e->factor + i * 16);
      result[i] = NAME(quantized)(NAME(applied)(v, e->function), e->inverse, e->zero);
    }
    GROUP packed = OP(packus_epi16)(
        OP(packs_epi32)((GROUP)result[0], (GROUP)result[1]),
        OP(packs_epi32)((GROUP)result[2], (GROUP)result[3]));
    uint8_t *to = (uint8_t *)y + j * g->result_step;
#if LEVEL >= 2
    _mm512_mask_storeu_epi8(to, mask, packed);
#else
    if (live >= 32) {
      _mm256_storeu_si256((__m256i *)to, packed);
    } else {
      uint8_t all[32];
      _mm256_storeu_si256((__m256i *)all, packed);
      memcpy(to, all, (size_t)live);
    }
#endif
  }
}

#define DEPTHWISE(KERNEL, STRIDE, QUADS, OUTPUTS)                                                \
  static __attribute__((noinline)) void NAME(depthwise_##KERNEL##_##STRIDE)(                     \
      const thaw_byte_geometry *g, const uint8_t *x, const int8_t *w, const int32_t *bias,       \
      const thaw_byte_ending *e, uint8_t *y) {                                                   \
    for (int64_t channel = 0; channel < g->channels; channel += 16 * LANES) {                    \
      int64_t live = g->channels - channel;                                                      \
      if (live > 16 * LANES) live = 16 * LANES;                                                  \
      uint64_t mask = live >= 64 ? ~0ull : (1ull << live) - 1;                                   \
      int64_t group = channel / 64, half = channel % 64;                                         \
      thaw_byte_ending own = *e;                                                                 \
      own.factor = e->factor + group * 64 + half / 4;                                            \
      const int8_t *weights = w + group * KERNEL * QUADS * OUTPUTS * 256 + half;                 \
      for (int64_t row = 0; row < g->output[0]; row++)                                           \
        for (int64_t column = 0; column < g->output[1]; column += OUTPUTS)                       \
          NAME(depthwise_step)(                                                                  \
              KERNEL, STRIDE, QUADS, OUTPUTS, g,                                                 \
              x + (row * g->stride[0] * g->input[1] + column * STRIDE) * g->step + channel,      \
              mask, weights, bias + group * 64 + half / 4, &own, g->output[1] - column, live,    \
              y + (row * g->output[1] + column) * g->result_step + channel);               \
    }                                                                                            \
  }
DEPTHWISE(3, 1, 1, 2)
DEPTHWISE(3, 2, 2, 3)
DEPTHWISE(5, 1, 2, 4)
DEPTHWISE(5, 2, 2, 2)
#undef DEPTHWISE
#undef LANES
#undef LOAD_GROUP
#undef OP
#undef GROUP
#endif

// Any window, WIDTH channels at a time; weights are [taps, channels rounded up to 64].
static void NAME(depthwise_any)(
    const thaw_byte_geometry *g, const uint8_t *x, const int8_t *w, const int32_t *bias,
    const thaw_byte_ending *e, void *y) {
  int64_t rounded = (g->channels + 63) / 64 * 64;
  for (int64_t pixel = 0; pixel < g->output[0] * g->output[1]; pixel++) {
    int64_t row = pixel / g->output[1], column = pixel % g->output[1];
    const uint8_t *from =
        x + (row * g->stride[0] * g->input[1] + column * g->stride[1]) * g->step;
    for (int64_t c = 0; c < g->channels; c += WIDTH) {
      INTS sum = LOAD_INTS(bias + c);
      int64_t tap = 0;
      for (int64_t ky = 0; ky < g->kernel[0]; ky++)
        for (int64_t kx = 0; kx < g->kernel[1]; kx++, tap++) {
          const uint8_t *at =
              from + (ky * g->dilation[0] * g->input[1] + kx * g->dilation[1]) * g->step + c;
          INTS four = __builtin_convertvector(*(const NAME(weights) *)(w + tap * rounded + c), INTS);
          sum += NAME(widened)(at) * four;
        }
      int64_t count = g->channels - c;
      NAME(end)(
          sum, LOAD_FLOATS(e->factor + c), e,
          e->residual ? e->residual + pixel * e->residual_step + c : NULL, y,
          pixel * g->result_step + c, count);
    }
  }
}

static void NAME(depthwise)(
    const thaw_byte_geometry *g, const uint8_t *x, const int8_t *w, const int32_t *bias,
    const thaw_byte_ending *e, void *y) {
#if LEVEL >= 1
  if (is_fast_depthwise(g)) {
    if (g->kernel[0] == 3 && g->stride[0] == 1) return NAME(depthwise_3_1)(g, x, w, bias, e, y);
    if (g->kernel[0] == 3) return NAME(depthwise_3_2)(g, x, w, bias, e, y);
    if (g->stride[0] == 1) return NAME(depthwise_5_1)(g, x, w, bias, e, y);
    return NAME(depthwise_5_2)(g, x, w, bias, e, y);
  }
#endif
  NAME(depthwise_any)(g, x, w, bias, e, y);
}

// ---- Everything else ----------------------------------------------------------------------------

static void NAME(average)(
    const thaw_byte_geometry *g, const uint8_t *x, int32_t x_zero, const float *factor,
    const thaw_byte_ending *e, void *y) {
  int64_t taps = g->kernel[0] * g->kernel[1];
  for (int64_t pixel = 0; pixel < g->output[0] * g->output[1]; pixel++) {
    int64_t row = pixel / g->output[1], column = pixel % g->output[1];
    const uint8_t *from =
        x + (row * g->stride[0] * g->input[1] + column * g->stride[1]) * g->step;
    for (int64_t c = 0; c < g->channels; c += WIDTH) {
      INTS sum = (INTS){0} - (int32_t)taps * x_zero;
      for (int64_t ky = 0; ky < g->kernel[0]; ky++)
        for (int64_t kx = 0; kx < g->kernel[1]; kx++)
          sum += NAME(widened)(from + (ky * g->input[1] + kx) * g->step + c);
      NAME(end)(
          sum, factor[pixel] - (FLOATS){0}, e, NULL, y, pixel * g->result_step + c,
          g->channels - c);
    }
  }
}

static void NAME(add)(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, float a_scale,
    int32_t a_zero, const thaw_byte_ending *e, void *y, int64_t result_step) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c += WIDTH)
      NAME(end)(
          NAME(widened)(a + pixel * step + c) - a_zero, a_scale - (FLOATS){0}, e,
          e->residual + pixel * e->residual_step + c, y, pixel * result_step + c, channels - c);
}

static void NAME(gate)(
    const uint8_t *a, int64_t pixels, int64_t channels, int64_t step, int32_t a_zero,
    const uint8_t *gates, int32_t gates_zero, float scale, const thaw_byte_ending *e, uint8_t *y,
    int64_t result_step) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c += WIDTH)
      NAME(end)(
          (NAME(widened)(a + pixel * step + c) - a_zero) * (NAME(widened)(gates + c) - gates_zero),
          scale - (FLOATS){0}, e, NULL, y, pixel * result_step + c, channels - c);
}

static void NAME(affine)(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, int32_t zero,
    const float *shift, const thaw_byte_ending *e, void *y, int64_t result_step) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c += WIDTH) {
      FLOATS v = __builtin_convertvector(NAME(widened)(x + pixel * step + c) - zero, FLOATS);
      v = v * LOAD_FLOATS(e->factor + c) + LOAD_FLOATS(shift + c);
      NAME(end_real)(
          v, e, e->function, e->floats, NULL, y, pixel * result_step + c, channels - c);
    }
}

static void NAME(quantize)(
    const float *x, int64_t pixels, int64_t channels, int64_t pixel_step, int64_t channel_step,
    float inverse, int32_t zero, int64_t step, uint8_t *y) {
  if (channel_step == 1) {
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
      const float *from = x + pixel * pixel_step;
      int64_t c = 0;
      for (; c + WIDTH <= channels; c += WIDTH)
        NAME(store)(
            NAME(quantized)(LOAD_FLOATS(from + c), inverse, zero), y + pixel * step + c, WIDTH);
      FLOATS v = {0};
      for (int64_t i = c; i < channels; i++) v[i - c] = from[i];
      NAME(store)(NAME(quantized)(v, inverse, zero), y + pixel * step + c, channels - c);
    }
    return;
  }
  for (int64_t pixel = 0; pixel < pixels; pixel += WIDTH)
    for (int64_t c = 0; c < channels; c++) {
      const float *from = x + pixel * pixel_step + c * channel_step;
      int64_t count = pixels - pixel < WIDTH ? pixels - pixel : WIDTH;
      FLOATS v = {0};
      if (count == WIDTH && pixel_step == 1) {
        v = LOAD_FLOATS(from);
      } else {
        for (int64_t i = 0; i < count; i++) v[i] = from[i * pixel_step];
      }
      INTS bytes = NAME(quantized)(v, inverse, zero);
      for (int64_t i = 0; i < count; i++) y[(pixel + i) * step + c] = (uint8_t)bytes[i];
    }
}

static void NAME(dequantize)(
    const uint8_t *x, int64_t pixels, int64_t channels, int64_t step, float scale, int32_t zero,
    float *y) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c++)
      y[pixel * channels + c] = (float)((int32_t)x[pixel * step + c] - zero) * scale;
}

static void NAME(maximum)(const thaw_byte_geometry *g, const uint8_t *x, uint8_t *y) {
  for (int64_t row = 0; row < g->output[0]; row++)
    for (int64_t column = 0; column < g->output[1]; column++) {
      const uint8_t *from =
          x + (row * g->stride[0] * g->input[1] + column * g->stride[1]) * g->step;
      uint8_t *to = y + (row * g->output[1] + column) * g->result_step;
      memset(to, 0, (size_t)g->depth);
      for (int64_t ky = 0; ky < g->kernel[0]; ky++)
        for (int64_t kx = 0; kx < g->kernel[1]; kx++) {
          const uint8_t *at =
              from + (ky * g->dilation[0] * g->input[1] + kx * g->dilation[1]) * g->step;
          for (int64_t c = 0; c < g->depth; c++) to[c] = at[c] > to[c] ? at[c] : to[c];
        }
    }
}

static const byte_table NAME(table) = {
    NAME(convolution), NAME(depthwise), NAME(average),  NAME(add),     NAME(gate),
    NAME(affine),      NAME(quantize),  NAME(dequantize), NAME(maximum),
};

#undef INTS
#undef FLOATS
#undef BYTES
#undef LOAD_INTS
#undef LOAD_FLOATS
#undef INLINE
