// SPDX-License-Identifier: Apache-2.0

#include "thaw_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>

struct thaw_hash {
  EVP_MD_CTX *context;
};

// Looked up once, and kept for as long as the process runs.
static EVP_MD *algorithms[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch_algorithms(void) {
  // Nothing to clean up at exit, when threads may still be hashing; no configuration file either.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
  OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
  if (library == NULL || OSSL_PROVIDER_load(library, "default") == NULL) return;
  algorithms[THAW_SHA256] = EVP_MD_fetch(library, "SHA256", NULL);
  algorithms[THAW_MD5] = EVP_MD_fetch(library, "MD5", NULL);
}

static thaw_hash *empty(void) {
  thaw_hash *hash = malloc(sizeof *hash);
  if (hash == NULL) return NULL;
  hash->context = EVP_MD_CTX_new();
  if (hash->context == NULL) {
    free(hash);
    return NULL;
  }
  return hash;
}

// `hash` if `is_good`, otherwise NULL.
static thaw_hash *kept(thaw_hash *hash, bool is_good) {
  if (is_good) return hash;
  thaw_hash_free(hash);
  return NULL;
}

thaw_hash *thaw_hash_new(thaw_hash_kind kind) {
  if (pthread_once(&once, fetch_algorithms) != 0 || algorithms[kind] == NULL) return NULL;
  thaw_hash *hash = empty();
  if (hash == NULL) return NULL;
  return kept(hash, EVP_DigestInit_ex2(hash->context, algorithms[kind], NULL) == 1);
}

thaw_hash *thaw_hash_copy(const thaw_hash *original) {
  thaw_hash *hash = empty();
  if (hash == NULL) return NULL;
  return kept(hash, EVP_MD_CTX_copy_ex(hash->context, original->context) == 1);
}

void thaw_hash_free(thaw_hash *hash) {
  if (hash == NULL) return;
  EVP_MD_CTX_free(hash->context);
  free(hash);
}

bool thaw_hash_update(thaw_hash *hash, const void *bytes, size_t count) {
  return count == 0 || EVP_DigestUpdate(hash->context, bytes, count) == 1;
}

bool thaw_hash_finish(thaw_hash *hash, uint8_t result[THAW_HASH_BYTES], size_t *count) {
  unsigned length = 0;
  int size = EVP_MD_CTX_get_size(hash->context);
  if (size <= 0 || size > THAW_HASH_BYTES) return false;
  if (EVP_DigestFinal_ex(hash->context, result, &length) != 1) return false;
  *count = length;
  return true;
}

const char *thaw_crypto_description(void) { return OpenSSL_version(OPENSSL_VERSION); }
