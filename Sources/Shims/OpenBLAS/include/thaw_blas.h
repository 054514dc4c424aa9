// SPDX-License-Identifier: Apache-2.0
// The part of OpenBLAS that Thaw uses, behind prefixed functions with 64-bit extents.
// OpenBLAS prints and returns on bad sizes, so Swift checks the extents first (LinearAlgebra.swift).
#ifndef THAW_BLAS_H
#define THAW_BLAS_H

#include <stdbool.h>
#include <stdint.h>

/// C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C, row major, leading dimensions in elements.
void thaw_sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                int64_t ldc);
void thaw_dgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
                const double *a, int64_t lda, const double *b, int64_t ldb, double beta, double *c,
                int64_t ldc);

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix of `n` rows, whose lower triangle in
/// column order is read; vector i replaces the elements from i * n on. Returns LAPACK's status: 0 is done,
/// above 0 not converged; -1000 when there is no memory.
int32_t thaw_dsyevd(int32_t n, double *matrix, double *values);

/// Number of threads of OpenBLAS's own pool.
void thaw_blas_set_threads(int32_t count);

/// The library in its own words: name, version and the processor it has kernels for.
const char *thaw_blas_description(void);

#endif
