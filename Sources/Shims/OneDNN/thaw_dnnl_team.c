// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "thaw_dnnl_team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "thaw_dnnl_internal.h"

extern void omp_set_num_threads(int count);
extern int omp_get_thread_limit(void);

// How often a thread looks again before it sleeps: about 20 microseconds, what waking costs. libgomp's
// threads look for milliseconds, which is time that other programs do not have.
enum { LOOKS = 400 };

typedef struct job {
  void (*body)(void *context, int share);
  void *context;
  int shares;
  atomic_bool *taken;
  int wanted;           // helpers that may still come; under the lock
  atomic_int helpers;   // helpers that are here; changed under the lock
  struct job *next;
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_came = PTHREAD_COND_INITIALIZER;
static pthread_cond_t helper_left = PTHREAD_COND_INITIALIZER;
static job *first;          // open jobs, the oldest first; under the lock
static atomic_uint news;    // changes when a job comes; under the lock
static int threads;         // helpers that were started; under the lock
static int busy;            // helpers at work; under the lock
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

// Does the shares that nobody has taken yet. It begins at its own, so that with a full team every
// thread keeps to the memory that its core has in its caches.
static void do_shares(job *each, int own) {
  for (int i = 0; i < each->shares; i++) {
    int share = (own + i) % each->shares;
    if (!atomic_exchange(&each->taken[share], true)) each->body(each->context, share);
  }
}

static job *open_job(void) {
  for (job *each = first; each; each = each->next)
    if (each->wanted > 0) return each;
  return NULL;
}

static void wait_for_work(void) {
  unsigned seen = atomic_load(&news);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < LOOKS && atomic_load(&news) == seen; i++) THAW_PAUSE();
  pthread_mutex_lock(&lock);
  while (atomic_load(&news) == seen) pthread_cond_wait(&work_came, &lock);
}

static void *help(void *data) {
  int own = (int)(intptr_t)data;
  omp_set_num_threads(1);
  pthread_mutex_lock(&lock);
  while (true) {
    job *each = open_job();
    if (!each) {
      wait_for_work();
      continue;
    }
    each->wanted--;
    atomic_fetch_add(&each->helpers, 1);
    busy++;
    pthread_mutex_unlock(&lock);
    do_shares(each, own);
    pthread_mutex_lock(&lock);
    busy--;
    // From here on the job may be gone.
    if (atomic_fetch_sub(&each->helpers, 1) == 1) pthread_cond_broadcast(&helper_left);
  }
  return NULL;
}

// A process that forks leaves its helpers behind.
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }
static void in_child(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&work_came, NULL);
  pthread_cond_init(&helper_left, NULL);
  first = NULL;
  threads = busy = 0;
}

static void prepare(void) { pthread_atfork(before_fork, after_fork, in_child); }

int thaw_team_granted(int count) {
  int limit = omp_get_thread_limit();
  return count < limit ? count : limit;
}

// Under the lock: as many helpers as open jobs want, as far as the system has them.
static void start_helpers(void) {
  int wanted = 0;
  for (job *each = first; each; each = each->next) wanted += each->wanted;
  while (threads - busy < wanted && thaw_team_granted(threads + 2) == threads + 2) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, help, (void *)(intptr_t)(threads + 1)) != 0) return;
    pthread_detach(thread);
    threads++;
  }
}

static void call_helpers(job *each) {
  pthread_mutex_lock(&lock);
  job **end = &first;
  while (*end) end = &(*end)->next;
  *end = each;
  start_helpers();
  atomic_fetch_add(&news, 1);
  pthread_cond_broadcast(&work_came);
  pthread_mutex_unlock(&lock);
}

static void close_when_done(job *each) {
  pthread_mutex_lock(&lock);
  job **place = &first;
  while (*place != each) place = &(*place)->next;
  *place = each->next;
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < LOOKS && atomic_load(&each->helpers) > 0; i++) THAW_PAUSE();
  pthread_mutex_lock(&lock);
  while (atomic_load(&each->helpers) > 0) pthread_cond_wait(&helper_left, &lock);
  pthread_mutex_unlock(&lock);
}

void thaw_team_run(int shares, void (*body)(void *context, int share), void *context) {
  if (shares < 1) return;
  pthread_once(&prepared, prepare);
  atomic_bool taken[shares];
  for (int i = 0; i < shares; i++) atomic_init(&taken[i], false);
  job each = {.body = body, .context = context, .shares = shares, .taken = taken};
  each.wanted = thaw_team_granted(shares) - 1;
  atomic_init(&each.helpers, 0);
  if (each.wanted < 1) {
    do_shares(&each, 0);
    return;
  }
  call_helpers(&each);
  do_shares(&each, 0);
  close_when_done(&each);
}
