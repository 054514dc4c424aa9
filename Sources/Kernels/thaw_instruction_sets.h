// SPDX-License-Identifier: Apache-2.0
//
// Includes the file KERNELS once for each instruction set that has Float kernels, with NAME (adds a suffix) and
// WIDTH (floats in a vector) defined, and what thaw_vectors.h says.

#define NAME(name) name##_plain
#define WIDTH 4
#include "thaw_vectors.h"
#include KERNELS
#include "thaw_vectors_end.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define NAME(name) name##_avx2
#define WIDTH 8
#include "thaw_vectors.h"
#include KERNELS
#include "thaw_vectors_end.h"
#pragma clang attribute pop

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define NAME(name) name##_avx512
#define WIDTH 16
#include "thaw_vectors.h"
#include KERNELS
#include "thaw_vectors_end.h"
#pragma clang attribute pop
#endif
