// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "thaw_dnnl_internal.h"

// libgomp's interface, declared here because the compiler of this target brings no omp.h and
// `#pragma omp` would need its compiler flag. GOMP_parallel is what such a pragma compiles to.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern void omp_set_num_threads(int count);

typedef struct {
  dnnl_memory_t memory;
  bool is_output;
} bound_memory;

// One pass at a time: its own memory, its own stream.
typedef struct {
  dnnl_stream_t stream;
  char *arena;
  dnnl_exec_arg_t *arguments;  // of all steps, one after the other
  double *seconds;             // per step; NULL unless profiling
  bound_memory *moving;        // memories that point into the caller's buffers
  int moving_count;
} lane;

struct thaw_dnnl_chain {
  int lane_count;
  lane *lanes;
  size_t arena_bytes, input_bytes, output_bytes;
  int step_count;
  const thaw_dnnl_primitive **primitives;
  int *first_argument;  // step_count + 1 elements
  int argument_count;
  double *profile;
};

int thaw_dnnl_chain_create(
    thaw_dnnl_chain **chain, int lanes, size_t arena_bytes, size_t input_bytes,
    size_t output_bytes) {
  *chain = NULL;
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  if (lanes < 1) return dnnl_invalid_arguments;
  thaw_dnnl_chain *made = calloc(1, sizeof *made);
  if (!made) return dnnl_out_of_memory;
  made->arena_bytes = arena_bytes;
  made->input_bytes = input_bytes;
  made->output_bytes = output_bytes;
  made->lanes = calloc((size_t)lanes, sizeof *made->lanes);
  made->first_argument = calloc(1, sizeof *made->first_argument);
  if (!made->lanes || !made->first_argument) status = dnnl_out_of_memory;
  made->lane_count = made->lanes ? lanes : 0;
  for (int i = 0; status == dnnl_success && i < lanes; i++) {
    made->lanes[i].arena = thaw_dnnl_allocate(arena_bytes);
    status = made->lanes[i].arena
                 ? dnnl_stream_create(&made->lanes[i].stream, engine, dnnl_stream_default_flags)
                 : dnnl_out_of_memory;
    // Padding channels of blocked layouts must read as zero even before the first pass.
    if (made->lanes[i].arena) memset(made->lanes[i].arena, 0, arena_bytes);
  }
  if (status != dnnl_success) {
    thaw_dnnl_chain_destroy(made);
    return status;
  }
  *chain = made;
  return dnnl_success;
}

void thaw_dnnl_chain_destroy(thaw_dnnl_chain *chain) {
  if (!chain) return;
  for (int i = 0; i < chain->lane_count; i++) {
    lane *each = &chain->lanes[i];
    if (each->arguments)
      for (int k = 0; k < chain->argument_count; k++)
        if (each->arguments[k].memory) dnnl_memory_destroy(each->arguments[k].memory);
    if (each->stream) dnnl_stream_destroy(each->stream);
    thaw_dnnl_free(each->arena);
    free(each->arguments);
    free(each->moving);
    free(each->seconds);
  }
  free(chain->lanes);
  free(chain->primitives);
  free(chain->first_argument);
  free(chain);
}

// Makes room for one more step and `count` more arguments in every lane.
static bool reserve(thaw_dnnl_chain *chain, int count) {
  int steps = chain->step_count + 1, arguments = chain->argument_count + count;
  void *grown = realloc(chain->primitives, (size_t)steps * sizeof *chain->primitives);
  if (!grown) return false;
  chain->primitives = grown;
  grown = realloc(chain->first_argument, ((size_t)steps + 1) * sizeof *chain->first_argument);
  if (!grown) return false;
  chain->first_argument = grown;
  for (int i = 0; i < chain->lane_count; i++) {
    lane *each = &chain->lanes[i];
    grown = realloc(each->arguments, (size_t)arguments * sizeof *each->arguments);
    if (!grown) return false;
    each->arguments = grown;
    memset(each->arguments + chain->argument_count, 0, (size_t)count * sizeof *each->arguments);
    grown = realloc(each->moving, (size_t)arguments * sizeof *each->moving);
    if (!grown) return false;
    each->moving = grown;
    grown = realloc(each->seconds, (size_t)steps * sizeof *each->seconds);
    if (!grown) return false;
    each->seconds = grown;
  }
  return true;
}

static int bind(lane *each, const thaw_dnnl_argument *argument, dnnl_exec_arg_t *bound) {
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  void *address = DNNL_MEMORY_NONE;
  if (argument->place == THAW_DNNL_IN_ARENA) address = each->arena + argument->offset;
  if (argument->place == THAW_DNNL_AT_ADDRESS) address = (void *)argument->address;
  bound->arg = thaw_dnnl_argument_index(argument->role);
  status = dnnl_memory_create(&bound->memory, &argument->layout->description, engine, address);
  if (status != dnnl_success) return status;
  if (argument->place == THAW_DNNL_AT_INPUT || argument->place == THAW_DNNL_AT_OUTPUT)
    each->moving[each->moving_count++] =
        (bound_memory){bound->memory, argument->place == THAW_DNNL_AT_OUTPUT};
  return dnnl_success;
}

int thaw_dnnl_chain_append(
    thaw_dnnl_chain *chain, const thaw_dnnl_primitive *primitive,
    const thaw_dnnl_argument *arguments, int count) {
  if (!reserve(chain, count)) return dnnl_out_of_memory;
  int first = chain->argument_count;
  chain->argument_count += count;  // from here on, destroy finds what was bound
  for (int i = 0; i < chain->lane_count; i++)
    for (int k = 0; k < count; k++) {
      lane *each = &chain->lanes[i];
      int status = bind(each, &arguments[k], &each->arguments[first + k]);
      if (status != dnnl_success) return status;
    }
  chain->primitives[chain->step_count] = primitive;
  chain->first_argument[chain->step_count] = first;
  chain->step_count++;
  chain->first_argument[chain->step_count] = chain->argument_count;
  return dnnl_success;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int run_pass(
    thaw_dnnl_chain *chain, lane *each, const float *input, float *output, int *failed_step) {
  for (int i = 0; i < each->moving_count; i++) {
    bound_memory *moving = &each->moving[i];
    void *address = moving->is_output ? (void *)output : (void *)input;
    int status = dnnl_memory_set_data_handle_v2(moving->memory, address, each->stream);
    if (status != dnnl_success) return status;
  }
  for (int step = 0; step < chain->step_count; step++) {
    int first = chain->first_argument[step];
    double start = chain->profile ? now() : 0;
    int status = dnnl_primitive_execute(
        chain->primitives[step]->primitive, each->stream, chain->first_argument[step + 1] - first,
        each->arguments + first);
    if (status != dnnl_success) {
      *failed_step = step;
      return status;
    }
    if (chain->profile) each->seconds[step] += now() - start;
  }
  return dnnl_stream_wait(each->stream);
}

typedef struct {
  thaw_dnnl_chain *chain;
  const char *input;
  char *output;
  int64_t passes;
  atomic_llong next;
  atomic_int status, failed_step;
} job;

static void work(void *data) {
  job *each = data;
  thaw_dnnl_chain *chain = each->chain;
  lane *mine = &chain->lanes[omp_get_thread_num()];
  if (chain->lane_count > 1) omp_set_num_threads(1);
  for (;;) {
    int64_t pass = atomic_fetch_add(&each->next, 1);
    if (pass >= each->passes || atomic_load(&each->status) != dnnl_success) return;
    int failed_step = 0;
    int status = run_pass(
        chain, mine, (const float *)(each->input + (size_t)pass * chain->input_bytes),
        (float *)(each->output + (size_t)pass * chain->output_bytes), &failed_step);
    if (status != dnnl_success) {
      atomic_store(&each->failed_step, failed_step);
      atomic_store(&each->status, status);
    }
  }
}

int thaw_dnnl_chain_run(
    thaw_dnnl_chain *chain, const float *input, float *output, int64_t passes, int threads,
    int *failed_step) {
  job each = {.chain = chain, .input = (const char *)input, .output = (char *)output,
              .passes = passes};
  if (threads < 1) threads = 1;
  int64_t workers = threads < chain->lane_count ? threads : chain->lane_count;
  if (workers > passes) workers = passes;
  omp_set_num_threads(threads);
  if (workers > 1) {
    GOMP_parallel(work, &each, (unsigned)workers, 0);
  } else {
    work(&each);
  }
  omp_set_num_threads(threads);
  if (chain->profile) {
    for (int i = 0; i < chain->lane_count; i++)
      for (int step = 0; step < chain->step_count; step++) {
        chain->profile[step] += chain->lanes[i].seconds[step];
        chain->lanes[i].seconds[step] = 0;
      }
  }
  *failed_step = atomic_load(&each.failed_step);
  return atomic_load(&each.status);
}

void thaw_dnnl_chain_profile(thaw_dnnl_chain *chain, double *seconds) {
  chain->profile = seconds;
  for (int i = 0; i < chain->lane_count; i++)
    if (chain->lanes[i].seconds)
      memset(chain->lanes[i].seconds, 0, (size_t)chain->step_count * sizeof(double));
}
