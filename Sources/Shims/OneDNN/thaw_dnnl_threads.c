// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "thaw_dnnl.h"

// libgomp's interface, declared here because the compiler of this target brings no omp.h and
// `#pragma omp` would need its compiler flag. GOMP_parallel is what such a pragma compiles to.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern void omp_set_num_threads(int count);
extern int omp_get_max_threads(void);
extern int omp_get_thread_num(void);

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THAW_OWN_THREADS 1
#endif
#endif

int thaw_dnnl_set_threads(int count) {
  int before = omp_get_max_threads();
  omp_set_num_threads(count > 0 ? count : 1);
  return before;
}

int thaw_dnnl_thread_count(void) { return omp_get_max_threads(); }

typedef struct {
  void (*body)(void *context, int share);
  void *context;
  int shares;
  atomic_bool *taken;
} job;

// Does the shares that nobody has taken yet. It begins at its own, so that with a full team every
// thread keeps to the memory that its core has in its caches.
static void work(job *each, int own) {
  for (int i = 0; i < each->shares; i++) {
    int share = (own + i) % each->shares;
    if (!atomic_exchange(&each->taken[share], true)) each->body(each->context, share);
  }
}

#if THAW_OWN_THREADS
// ThreadSanitizer sees what these threads do and when they begin and end; libgomp's it does not.
typedef struct {
  job *each;
  int own;
  pthread_t thread;
} member;

static void *join(void *data) {
  member *self = data;
  omp_set_num_threads(1);
  work(self->each, self->own);
  return NULL;
}

static void run_team(job *each) {
  member *members = calloc((size_t)each->shares, sizeof *members);
  int started = 1;
  for (; members && started < each->shares; started++) {
    members[started] = (member){.each = each, .own = started};
    if (pthread_create(&members[started].thread, NULL, join, &members[started]) != 0) break;
  }
  omp_set_num_threads(1);
  work(each, 0);
  for (int i = 1; members && i < started; i++) pthread_join(members[i].thread, NULL);
  free(members);
}
#else
static void join(void *data) {
  omp_set_num_threads(1);
  work(data, omp_get_thread_num());
}

static void run_team(job *each) { GOMP_parallel(join, each, (unsigned)each->shares, 0); }
#endif

void thaw_dnnl_parallel(int shares, void (*body)(void *context, int share), void *context) {
  if (shares < 1) return;
  atomic_bool taken[shares];
  for (int i = 0; i < shares; i++) atomic_init(&taken[i], false);
  job each = {body, context, shares, taken};
  int team = omp_get_max_threads();
  omp_set_num_threads(1);
  if (shares > 1) {
    run_team(&each);
  } else {
    work(&each, 0);
  }
  omp_set_num_threads(team);
}

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
