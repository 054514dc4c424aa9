// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <sched.h>

#include "thaw_dnnl.h"

// libgomp's interface, declared here because the compiler of this target brings no omp.h.
extern void omp_set_num_threads(int count);
extern int omp_get_max_threads(void);

void thaw_dnnl_set_threads(int count) { omp_set_num_threads(count > 0 ? count : 1); }
int thaw_dnnl_thread_count(void) { return omp_get_max_threads(); }

int thaw_allowed_processors(int *processors, int capacity) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 0;
  int count = 0;
  for (int i = 0; i < CPU_SETSIZE && count < capacity; i++)
    if (CPU_ISSET(i, &mask)) processors[count++] = i;
  return count;
}
