// SPDX-License-Identifier: Apache-2.0
//
// THAW_DISPATCH before a function: it is compiled for AVX2, too, and the loader takes what the processor has.
#ifndef THAW_DISPATCH_H
#define THAW_DISPATCH_H

// ThreadSanitizer cannot follow: the loader chooses a clone before the sanitizer has started.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THAW_SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && !defined(THAW_SANITIZED)
#define THAW_DISPATCH __attribute__((target_clones("avx2", "default")))
#else
#define THAW_DISPATCH
#endif

#endif
