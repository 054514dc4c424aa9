// SPDX-License-Identifier: Apache-2.0
#include "thaw_blas.h"

#include <cblas.h>
#include <stddef.h>
#include <stdlib.h>

// LAPACK's own interface, which OpenBLAS contains; the last two are the lengths of the texts.
extern void dsyevd_(const char *jobz, const char *uplo, const blasint *n, double *a,
                    const blasint *lda, double *w, double *work, const blasint *lwork,
                    blasint *iwork, const blasint *liwork, blasint *info, size_t, size_t);

int32_t thaw_dsyevd(int32_t n, double *matrix, double *values) {
  blasint size = n, query = -1, info = 0, integers = 0;
  double doubles = 0;
  dsyevd_("V", "L", &size, matrix, &size, values, &doubles, &query, &integers, &query, &info, 1, 1);
  if (info != 0) return (int32_t)info;
  blasint most = (blasint)doubles;
  double *work = malloc(sizeof(double) * (size_t)most);
  blasint *whole = malloc(sizeof(blasint) * (size_t)integers);
  if (work != NULL && whole != NULL) {
    dsyevd_("V", "L", &size, matrix, &size, values, work, &most, whole, &integers, &info, 1, 1);
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
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
              transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
              (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void thaw_dgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
                const double *a, int64_t lda, const double *b, int64_t ldb, double beta, double *c,
                int64_t ldc) {
  cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
              transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
              (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void thaw_blas_set_threads(int32_t count) { openblas_set_num_threads(count); }

const char *thaw_blas_description(void) { return openblas_get_config(); }
