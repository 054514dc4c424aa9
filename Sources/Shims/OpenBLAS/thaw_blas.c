// SPDX-License-Identifier: Apache-2.0
//
// OpenBLAS is loaded when it is first used: it starts threads as it is loaded, and brings Fortran's libraries,
// which takes a tenth of the time of a program that classifies one photo and never multiplies by it.
#include "thaw_blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// LAPACK's own interface, which OpenBLAS contains; the last two are the lengths of the texts.
typedef void eigen_function(
    const char *jobz, const char *uplo, const blasint *n, double *a, const blasint *lda, double *w,
    double *work, const blasint *lwork, blasint *iwork, const blasint *liwork, blasint *info, size_t,
    size_t);

static struct {
  __typeof__(&cblas_sgemm) sgemm;
  __typeof__(&cblas_dgemm) dgemm;
  __typeof__(&openblas_set_num_threads) set_threads;
  __typeof__(&openblas_get_config) config;
  eigen_function *dsyevd;
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool is_loaded;
static atomic_int wanted_threads;

static void *find(void *handle, const char *name) {
  void *found = handle ? dlsym(handle, name) : NULL;
  if (found) return found;
  // As the loader does for a library that a program is linked with.
  fprintf(stderr, "error: OpenBLAS cannot be loaded: %s. Install libopenblas0.\n", dlerror());
  exit(127);
}

static void load(void) {
  void *handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!handle) handle = dlopen("libopenblas.so", RTLD_NOW | RTLD_LOCAL);
  library.sgemm = (__typeof__(library.sgemm))find(handle, "cblas_sgemm");
  library.dgemm = (__typeof__(library.dgemm))find(handle, "cblas_dgemm");
  library.set_threads = (__typeof__(library.set_threads))find(handle, "openblas_set_num_threads");
  library.config = (__typeof__(library.config))find(handle, "openblas_get_config");
  library.dsyevd = (eigen_function *)find(handle, "dsyevd_");
  atomic_store(&is_loaded, true);
  int threads = atomic_load(&wanted_threads);
  if (threads > 0) library.set_threads(threads);
}

int32_t thaw_dsyevd(int32_t n, double *matrix, double *values) {
  pthread_once(&once, load);
  blasint size = n, query = -1, info = 0, integers = 0;
  double doubles = 0;
  library.dsyevd(
      "V", "L", &size, matrix, &size, values, &doubles, &query, &integers, &query, &info, 1, 1);
  if (info != 0) return (int32_t)info;
  blasint most = (blasint)doubles;
  double *work = malloc(sizeof(double) * (size_t)most);
  blasint *whole = malloc(sizeof(blasint) * (size_t)integers);
  if (work != NULL && whole != NULL) {
    library.dsyevd(
        "V", "L", &size, matrix, &size, values, work, &most, whole, &integers, &info, 1, 1);
  } else {
    info = -1000;
  }
  free(work);
  free(whole);
  return (int32_t)info;
}

void thaw_sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                int64_t ldc) {
  pthread_once(&once, load);
  library.sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha,
                a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void thaw_dgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
                const double *a, int64_t lda, const double *b, int64_t ldb, double beta, double *c,
                int64_t ldc) {
  pthread_once(&once, load);
  library.dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha,
                a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void thaw_blas_set_threads(int32_t count) {
  atomic_store(&wanted_threads, count);
  if (atomic_load(&is_loaded)) library.set_threads(count);
}

const char *thaw_blas_description(void) {
  pthread_once(&once, load);
  return library.config();
}
