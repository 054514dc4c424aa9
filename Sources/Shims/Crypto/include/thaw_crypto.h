// SPDX-License-Identifier: Apache-2.0
//
// libcrypto's hashes for Swift, fed piece by piece. Every status is looked at here.
#ifndef THAW_CRYPTO_H
#define THAW_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { THAW_SHA256 = 0, THAW_MD5 = 1 } thaw_hash_kind;

/// The longest result, bytes.
enum { THAW_HASH_BYTES = 32 };

/// A hash under way.
typedef struct thaw_hash thaw_hash;

/// Starts one; NULL when there is no memory or libcrypto has no such hash.
///
/// The hashes come from libcrypto's own default provider, whatever the machine's openssl.cnf says: a
/// machine that allows approved algorithms only has no MD5 otherwise, and nothing here is secret.
thaw_hash *thaw_hash_new(thaw_hash_kind kind);

/// One that has seen the same bytes; NULL when there is no memory.
thaw_hash *thaw_hash_copy(const thaw_hash *hash);

/// Ends one; NULL is allowed.
void thaw_hash_free(thaw_hash *hash);

/// Adds bytes; whether that worked.
bool thaw_hash_update(thaw_hash *hash, const void *bytes, size_t count);

/// Writes the result over everything added to `result` and the number of its bytes to `count`; the
/// hash is used up then. Whether that worked.
bool thaw_hash_finish(thaw_hash *hash, uint8_t result[THAW_HASH_BYTES], size_t *count);

/// For example "OpenSSL 3.0.15 3 Sep 2024".
const char *thaw_crypto_description(void);

#ifdef __cplusplus
}
#endif

#endif
