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

struct thaw_dnnl_primitive {
  dnnl_primitive_t primitive;
  dnnl_primitive_desc_t description;
};

// The one CPU engine of the process; made on first use, never destroyed.
int thaw_dnnl_engine(dnnl_engine_t *engine);

// oneDNN's execution argument for a role.
int thaw_dnnl_argument_index(int role);

#endif
