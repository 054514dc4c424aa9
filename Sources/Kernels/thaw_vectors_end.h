// SPDX-License-Identifier: Apache-2.0
//
// Takes back what thaw_vectors.h defined, and the names it was defined with.

#undef VECTOR
#undef MASK
#undef LOAD
#undef STORE
#undef NAME
#undef WIDTH
