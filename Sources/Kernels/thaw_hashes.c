// SPDX-License-Identifier: Apache-2.0
#include "thaw_hashes.h"

#include "thaw_dispatch.h"

// Processors with AVX2 count bits in one instruction, too.
THAW_DISPATCH
size_t thaw_near_hashes(const thaw_hash_piece *piece, uint64_t hash, uint16_t own,
                        const uint16_t *masks, size_t count, int distance, int32_t behind,
                        int32_t limit, int32_t *found) {
  // Most values are nobody's. Which are somebody's is written down without a branch, which nobody could predict.
  uint16_t values[THAW_HASH_MASKS];
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    uint16_t value = own ^ masks[i];
    values[taken] = value;
    taken += piece->taken[value >> 6] >> (value & 63) & 1;
  }
  size_t hits = 0;
  for (size_t i = 0; i < taken; i++) {
    uint64_t lower = ((uint64_t)1 << (values[i] & 63)) - 1;
    size_t word = values[i] >> 6;
    size_t place = (size_t)piece->before[word] +
                   (size_t)__builtin_popcountll(piece->taken[word] & lower);
    int32_t at = piece->starts[place];
    int32_t end = piece->starts[place + 1];
    if (end - at > limit) end = at + limit;
    for (; at < end; at++) {
      if (__builtin_popcountll(piece->hashes[at] ^ hash) > distance) continue;
      if (piece->indices[at] > behind) found[hits++] = piece->indices[at];
    }
  }
  return hits;
}
