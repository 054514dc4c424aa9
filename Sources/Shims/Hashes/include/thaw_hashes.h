// SPDX-License-Identifier: Apache-2.0
//
// The inner loops of the hashes that weights are checked with. Padding, and what is done with the
// result, are the callers' affair.
#ifndef THAW_HASHES_H
#define THAW_HASHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Takes `count` blocks of 64 bytes into a SHA-256 state (FIPS 180-4, section 6.2.2). With
// `may_use_extensions` the processor's own instructions are used where it has them.
void thaw_sha256_blocks(
    uint32_t state[8], const uint8_t *blocks, size_t count, bool may_use_extensions);
// Whether the processor has such instructions.
bool thaw_sha256_has_extensions(void);

// Takes `count` blocks of 64 bytes into an MD5 state (RFC 1321, section 3.4).
void thaw_md5_blocks(uint32_t state[4], const uint8_t *blocks, size_t count);

#endif
