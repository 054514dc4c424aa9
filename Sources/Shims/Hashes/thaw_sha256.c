// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "thaw_hashes.h"

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotated(uint32_t word, int count) {
  return word >> count | word << (32 - count);
}

static inline uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void blocks_plain(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count > 0; count--, blocks += 64) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++) w[t] = big_endian(blocks + 4 * t);
    for (int t = 16; t < 64; t++) {
      uint32_t x = w[t - 15], y = w[t - 2];
      w[t] = w[t - 16] + (rotated(x, 7) ^ rotated(x, 18) ^ x >> 3) + w[t - 7] +
             (rotated(y, 17) ^ rotated(y, 19) ^ y >> 10);
    }
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    // Letters a to h of the standard are v[-t], v[1 - t], ... modulo 8: nothing is moved.
#pragma clang loop unroll_count(8)
    for (int t = 0; t < 64; t++) {
      uint32_t a = v[(64 - t) & 7], b = v[(65 - t) & 7], c = v[(66 - t) & 7];
      uint32_t e = v[(68 - t) & 7], f = v[(69 - t) & 7], g = v[(70 - t) & 7];
      uint32_t first = v[(71 - t) & 7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                       ((e & f) ^ (~e & g)) + constants[t] + w[t];
      v[(67 - t) & 7] += first;
      v[(71 - t) & 7] = first + (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                        ((a & b) ^ (a & c) ^ (b & c));
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
  }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

// SHA (leaf 7), and SSSE3 and SSE4.1 for the shuffles; Intel's manual, volume 2, CPUID.
static bool has_extensions(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 9) || !(c & 1u << 19)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}

// Two rounds an instruction; the state travels as the words ABEF and CDGH.
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_extended(
    uint32_t state[8], const uint8_t *blocks, size_t count) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i first = _mm_loadu_si128((const __m128i *)state);        // DCBA, highest word first
  __m128i second = _mm_loadu_si128((const __m128i *)(state + 4)); // HGFE
  first = _mm_shuffle_epi32(first, 0xB1);                         // CDAB
  second = _mm_shuffle_epi32(second, 0x1B);                       // EFGH
  __m128i abef = _mm_alignr_epi8(first, second, 8);
  __m128i cdgh = _mm_blend_epi16(second, first, 0xF0);
  for (; count > 0; count--, blocks += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    // Four rounds a turn, with four words of the message schedule made from the last sixteen.
#pragma clang loop unroll(full)
    for (int turn = 0; turn < 16; turn++) {
      __m128i *words = &w[turn & 3];
      if (turn < 4) {
        *words = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * turn)), order);
      } else {
        const __m128i last = w[(turn + 3) & 3], before = w[(turn + 2) & 3];
        *words = _mm_sha256msg2_epu32(
            _mm_add_epi32(
                _mm_sha256msg1_epu32(*words, w[(turn + 1) & 3]), _mm_alignr_epi8(last, before, 4)),
            last);
      }
      const __m128i sum =
          _mm_add_epi32(*words, _mm_loadu_si128((const __m128i *)(constants + 4 * turn)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  first = _mm_shuffle_epi32(abef, 0x1B);  // FEBA
  second = _mm_shuffle_epi32(cdgh, 0xB1); // DCHG
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(first, second, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(second, first, 8));
}
#else
static bool has_extensions(void) { return false; }
static void blocks_extended(uint32_t state[8], const uint8_t *blocks, size_t count) {
  blocks_plain(state, blocks, count);
}
#endif

bool thaw_sha256_has_extensions(void) { return has_extensions(); }

void thaw_sha256_blocks(
    uint32_t state[8], const uint8_t *blocks, size_t count, bool may_use_extensions) {
  if (may_use_extensions) {
    blocks_extended(state, blocks, count);
  } else {
    blocks_plain(state, blocks, count);
  }
}
