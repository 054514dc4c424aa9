// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>

#include "thaw_dnnl.h"
#include "thaw_dnnl_team.h"

// libgomp's interface, declared here because the compiler of this target brings no omp.h and
// `#pragma omp` would need its compiler flag. GOMP_parallel is what such a pragma compiles to.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern void omp_set_num_threads(int count);
extern int omp_get_max_threads(void);
extern int omp_get_thread_num(void);

int thaw_dnnl_set_threads(int count) {
  int before = omp_get_max_threads();
  omp_set_num_threads(count > 0 ? count : 1);
  return before;
}

int thaw_dnnl_thread_count(void) { return omp_get_max_threads(); }

void thaw_dnnl_parallel(int shares, void (*body)(void *context, int share), void *context) {
  int team = omp_get_max_threads();
  omp_set_num_threads(1);
  thaw_team_run(shares, body, context);
  omp_set_num_threads(team);
}

int thaw_dnnl_granted(int count) { return thaw_team_granted(count); }

typedef struct {
  void (*body)(void *context, int member);
  void *context;
} region;

static void enter(void *data) {
  region *each = data;
  each->body(each->context, omp_get_thread_num());
}

void thaw_dnnl_host_region(
    int threads, void (*body)(void *context, int member), void *context) {
  region each = {body, context};
  GOMP_parallel(enter, &each, (unsigned)threads, 0);
}

int thaw_allowed_processors(int *processors, int capacity) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 0;
  int count = 0;
  for (int i = 0; i < CPU_SETSIZE && count < capacity; i++)
    if (CPU_ISSET(i, &mask)) processors[count++] = i;
  return count;
}
