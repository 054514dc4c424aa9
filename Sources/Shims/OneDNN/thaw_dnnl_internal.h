// SPDX-License-Identifier: Apache-2.0
//
// Shared by the implementation files of this target only.
#ifndef THAW_DNNL_INTERNAL_H
#define THAW_DNNL_INTERNAL_H

#include <dnnl.h>

#include "thaw_dnnl.h"

struct thaw_dnnl_layout {
  dnnl_memory_desc_t description;
};

// Where a piece of a primitive has one of its tensors within the whole's.
typedef struct {
  int role;
  size_t bytes;
} thaw_dnnl_offset;

enum { THAW_DNNL_MOST_OFFSETS = 8 };

struct thaw_dnnl_primitive {
  dnnl_primitive_t primitive;  // NULL until thaw_dnnl_primitive_compile
  dnnl_primitive_desc_t description;
  int offset_count;
  thaw_dnnl_offset offsets[THAW_DNNL_MOST_OFFSETS];
};

// Tells the processor that a loop waits for another thread.
#if defined(__x86_64__)
#define THAW_PAUSE() __builtin_ia32_pause()
#else
#define THAW_PAUSE() ((void)0)
#endif

// Zeros that the system hands out page by page, as they are touched; on huge pages where it has them.
void *thaw_dnnl_allocate_zeros(size_t bytes);
void thaw_dnnl_free_zeros(void *memory, size_t bytes);

// The one CPU engine of the process; made on first use, never destroyed.
int thaw_dnnl_engine(dnnl_engine_t *engine);

// oneDNN's execution argument for a role.
int thaw_dnnl_argument_index(int role);

#endif
