// SPDX-License-Identifier: Apache-2.0
//
// What Float kernels for one instruction set are written in: vectors of WIDTH floats, which need no alignment.
// NAME adds the set's suffix. See thaw_instruction_sets.h.

typedef float NAME(vector) __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t NAME(mask) __attribute__((vector_size(4 * WIDTH), aligned(4)));
#define VECTOR NAME(vector)
#define MASK NAME(mask)
#define LOAD(address) (*(const VECTOR *)(address))
#define STORE(address, value) (*(VECTOR *)(address) = (value))

static inline VECTOR NAME(rectified_vector)(VECTOR x, thaw_rectifier rectifier) {
  if (rectifier == THAW_IDENTITY) return x;
  VECTOR zero = {0}, six = zero + 6;
  VECTOR positive = (VECTOR)(~(x < zero) & (MASK)x);
  if (rectifier == THAW_RELU) return positive;
  MASK above = positive > six;
  return (VECTOR)((above & (MASK)six) | (~above & (MASK)positive));
}
