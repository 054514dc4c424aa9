// SPDX-License-Identifier: Apache-2.0
// Looks hashes up that differ from one in few bits. It is in C for runtime dispatch: processors that count bits
// in one instruction do so.
#ifndef THAW_HASHES_H
#define THAW_HASHES_H

#include <stddef.h>
#include <stdint.h>

/// Hashes of 64 bits, ordered by the value of one piece of 16 bits of them.
typedef struct {
  /// 1024 words: a bit for each value that some hash has.
  const uint64_t *taken;
  /// For each 64 values how many values below them some hash has.
  const int32_t *before;
  /// Of each value that some hash has where its hashes begin, and where the last ones end.
  const int32_t *starts;
  const uint64_t *hashes;
  /// Where the hashes stood before they were ordered.
  const int32_t *indices;
} thaw_hash_piece;

/// At most so many masks of one search.
enum { THAW_HASH_MASKS = 697 };

/// Which hashes whose piece is `own` with the bits of one of the masks turned are at most `distance` bits from
/// `hash`, of those that stood behind `behind`; of each value of the piece the first `limit` are looked at.
///
/// Writes where they stood to `found`, which has room for all hashes, in the order of the masks, and returns how
/// many there are. `count` is at most THAW_HASH_MASKS.
size_t thaw_near_hashes(const thaw_hash_piece *piece, uint64_t hash, uint16_t own,
                        const uint16_t *masks, size_t count, int distance, int32_t behind,
                        int32_t limit, int32_t *found);

#endif
