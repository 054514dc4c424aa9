// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "thaw_dnnl_internal.h"

typedef struct {
  int argument;
  bool is_output;
} bound_memory;

// Either a primitive or a step with its context.
typedef struct {
  const thaw_dnnl_primitive *primitive;
  thaw_dnnl_step step;
  const void *context;
} instruction;

struct thaw_dnnl_chain {
  size_t arena_bytes, input_bytes, output_bytes;
  int instruction_count;
  instruction *instructions;
  int *first_argument;  // instruction_count + 1 elements
  int turn_count;
  int *first_instruction;  // of each turn; turn_count + 1 elements
  int argument_count;
  thaw_dnnl_argument *arguments;  // of all instructions, one after the other
};

// One pass at a time: its own memory, its own stream.
struct thaw_dnnl_lane {
  const thaw_dnnl_chain *chain;
  dnnl_stream_t stream;
  char *arena;
  dnnl_exec_arg_t *arguments;  // bound to the arena, in the chain's order
  void **addresses;            // of the same
  bound_memory *moving;        // memories that point into the caller's buffers
  int moving_count;
  double *seconds;     // per instruction, of a pass that is shared per turn; NULL unless profiling
  atomic_bool *taken;  // of a shared pass, per instruction
  atomic_int *done;    // the same, instructions of each turn
};

int thaw_dnnl_chain_create(
    thaw_dnnl_chain **chain, size_t arena_bytes, size_t input_bytes, size_t output_bytes) {
  *chain = NULL;
  thaw_dnnl_chain *made = calloc(1, sizeof *made);
  if (!made) return dnnl_out_of_memory;
  made->arena_bytes = arena_bytes;
  made->input_bytes = input_bytes;
  made->output_bytes = output_bytes;
  made->first_argument = calloc(1, sizeof *made->first_argument);
  made->first_instruction = calloc(1, sizeof *made->first_instruction);
  if (!made->first_argument || !made->first_instruction) {
    thaw_dnnl_chain_destroy(made);
    return dnnl_out_of_memory;
  }
  *chain = made;
  return dnnl_success;
}

void thaw_dnnl_chain_destroy(thaw_dnnl_chain *chain) {
  if (!chain) return;
  free(chain->instructions);
  free(chain->first_argument);
  free(chain->first_instruction);
  free(chain->arguments);
  free(chain);
}

static int append(
    thaw_dnnl_chain *chain, instruction added, const thaw_dnnl_argument *arguments, int count) {
  size_t instructions = (size_t)chain->instruction_count + 1;
  size_t total = (size_t)chain->argument_count + (size_t)count;
  void *grown = realloc(chain->instructions, instructions * sizeof *chain->instructions);
  if (!grown) return dnnl_out_of_memory;
  chain->instructions = grown;
  grown = realloc(chain->first_argument, (instructions + 1) * sizeof *chain->first_argument);
  if (!grown) return dnnl_out_of_memory;
  chain->first_argument = grown;
  grown = realloc(chain->arguments, total * sizeof *chain->arguments);
  if (!grown) return dnnl_out_of_memory;
  chain->arguments = grown;
  memcpy(chain->arguments + chain->argument_count, arguments, (size_t)count * sizeof *arguments);
  chain->instructions[chain->instruction_count++] = added;
  chain->argument_count += count;
  chain->first_argument[chain->instruction_count] = chain->argument_count;
  return dnnl_success;
}

int thaw_dnnl_chain_append(
    thaw_dnnl_chain *chain, const thaw_dnnl_primitive *primitive,
    const thaw_dnnl_argument *arguments, int count) {
  int status = thaw_dnnl_primitive_compile(primitive);
  if (status != dnnl_success) return status;
  return append(chain, (instruction){.primitive = primitive}, arguments, count);
}

int thaw_dnnl_chain_append_step(
    thaw_dnnl_chain *chain, thaw_dnnl_step step, const void *context,
    const thaw_dnnl_argument *arguments, int count) {
  return append(chain, (instruction){.step = step, .context = context}, arguments, count);
}

int thaw_dnnl_chain_end_turn(thaw_dnnl_chain *chain) {
  size_t count = (size_t)chain->turn_count + 2;
  void *grown = realloc(chain->first_instruction, count * sizeof *chain->first_instruction);
  if (!grown) return dnnl_out_of_memory;
  chain->first_instruction = grown;
  chain->first_instruction[++chain->turn_count] = chain->instruction_count;
  return dnnl_success;
}

static int bind(thaw_dnnl_lane *lane, int index) {
  const thaw_dnnl_argument *argument = &lane->chain->arguments[index];
  dnnl_exec_arg_t *bound = &lane->arguments[index];
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  void *address = DNNL_MEMORY_NONE;
  if (argument->place == THAW_DNNL_IN_ARENA) address = lane->arena + argument->offset;
  if (argument->place == THAW_DNNL_AT_ADDRESS)
    address = (char *)argument->address + argument->offset;
  lane->addresses[index] = address;
  bound->arg = thaw_dnnl_argument_index(argument->role);
  status = dnnl_memory_create(&bound->memory, &argument->layout->description, engine, address);
  if (status != dnnl_success) return status;
  if (argument->place == THAW_DNNL_AT_INPUT || argument->place == THAW_DNNL_AT_OUTPUT)
    lane->moving[lane->moving_count++] =
        (bound_memory){index, argument->place == THAW_DNNL_AT_OUTPUT};
  return dnnl_success;
}

int thaw_dnnl_lane_create(thaw_dnnl_lane **lane, const thaw_dnnl_chain *chain) {
  *lane = NULL;
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  thaw_dnnl_lane *made = calloc(1, sizeof *made);
  if (!made) return dnnl_out_of_memory;
  size_t count = chain->argument_count > 0 ? (size_t)chain->argument_count : 1;
  made->chain = chain;
  made->arguments = calloc(count, sizeof *made->arguments);
  made->addresses = calloc(count, sizeof *made->addresses);
  made->moving = calloc(count, sizeof *made->moving);
  // Padding channels of blocked layouts must read as zero even before the first pass.
  made->arena = thaw_dnnl_allocate_zeros(chain->arena_bytes);
  made->taken = calloc((size_t)chain->instruction_count + 1, sizeof *made->taken);
  made->done = calloc((size_t)chain->turn_count + 1, sizeof *made->done);
  bool is_complete = made->arguments && made->addresses && made->moving && made->arena &&
                     made->taken && made->done;
  status = is_complete ? dnnl_stream_create(&made->stream, engine, dnnl_stream_default_flags)
                       : dnnl_out_of_memory;
  for (int i = 0; status == dnnl_success && i < chain->argument_count; i++)
    status = bind(made, i);
  if (status != dnnl_success) {
    thaw_dnnl_lane_destroy(made);
    return status;
  }
  *lane = made;
  return dnnl_success;
}

void thaw_dnnl_lane_destroy(thaw_dnnl_lane *lane) {
  if (!lane) return;
  for (int i = 0; lane->arguments && i < lane->chain->argument_count; i++)
    if (lane->arguments[i].memory) dnnl_memory_destroy(lane->arguments[i].memory);
  if (lane->stream) dnnl_stream_destroy(lane->stream);
  thaw_dnnl_free_zeros(lane->arena, lane->chain->arena_bytes);
  free(lane->taken);
  free(lane->done);
  free(lane->arguments);
  free(lane->addresses);
  free(lane->moving);
  free(lane);
}

void thaw_dnnl_lane_profile(thaw_dnnl_lane *lane, double *seconds) { lane->seconds = seconds; }

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int bind_moving(thaw_dnnl_lane *lane, const char *input, char *output) {
  for (int i = 0; i < lane->moving_count; i++) {
    bound_memory *moving = &lane->moving[i];
    char *address = (moving->is_output ? output : (char *)input) +
                    lane->chain->arguments[moving->argument].offset;
    int status = dnnl_memory_set_data_handle_v2(
        lane->arguments[moving->argument].memory, address, lane->stream);
    if (status != dnnl_success) return status;
    lane->addresses[moving->argument] = address;
  }
  return dnnl_success;
}

static int execute(thaw_dnnl_lane *lane, int index) {
  const thaw_dnnl_chain *chain = lane->chain;
  const instruction *each = &chain->instructions[index];
  int first = chain->first_argument[index];
  if (each->step) return each->step(each->context, lane->addresses + first);
  return dnnl_primitive_execute(
      each->primitive->primitive, lane->stream, chain->first_argument[index + 1] - first,
      lane->arguments + first);
}

static int run_pass(
    thaw_dnnl_lane *lane, const char *input, char *output, int *failed_instruction) {
  int status = bind_moving(lane, input, output);
  if (status != dnnl_success) return status;
  for (int i = 0; i < lane->chain->instruction_count; i++) {
    double start = lane->seconds ? now() : 0;
    status = execute(lane, i);
    if (status != dnnl_success) {
      *failed_instruction = i;
      return status;
    }
    if (lane->seconds) lane->seconds[i] += now() - start;
  }
  return dnnl_stream_wait(lane->stream);
}

typedef struct {
  thaw_dnnl_lane *const *lanes;
  const char *input;
  char *output;
  int64_t passes;
  atomic_llong next;
  atomic_int status, failed_instruction;
} job;

// Takes one pass after the other until none is left; `share` names the lane whose memory to use.
static void work(void *data, int share) {
  job *each = data;
  thaw_dnnl_lane *lane = each->lanes[share];
  for (;;) {
    int64_t pass = atomic_fetch_add(&each->next, 1);
    if (pass >= each->passes || atomic_load(&each->status) != dnnl_success) return;
    int failed_instruction = 0;
    int status = run_pass(
        lane, each->input + (size_t)pass * lane->chain->input_bytes,
        each->output + (size_t)pass * lane->chain->output_bytes, &failed_instruction);
    if (status != dnnl_success) {
      atomic_store(&each->failed_instruction, failed_instruction);
      atomic_store(&each->status, status);
    }
  }
}

int thaw_dnnl_lanes_run(
    thaw_dnnl_lane *const *lanes, int count, const float *input, float *output, int64_t passes,
    int *failed_instruction) {
  job each = {.lanes = lanes, .input = (const char *)input, .output = (char *)output,
              .passes = passes};
  thaw_dnnl_parallel(passes < count ? (int)passes : count, work, &each);
  *failed_instruction = atomic_load(&each.failed_instruction);
  return atomic_load(&each.status);
}

// ---- One pass on several threads ----------------------------------------------------------------

// Seconds that a thread looks whether the others have done before it sleeps. Parts of a turn take about
// as long as each other, so the others are nearly done; where one of them has lost its processor, they
// are not.
static const double PATIENCE = 100e-6;

typedef struct {
  thaw_dnnl_lane *lane;
  atomic_int turn;  // the first that may have parts that nobody has begun
  atomic_int status, failed_instruction;
  atomic_int sleepers;
  pthread_mutex_t lock;
  pthread_cond_t turn_done;
} shared_pass;

static bool is_done(const shared_pass *pass, int turn) {
  const thaw_dnnl_chain *chain = pass->lane->chain;
  int parts = chain->first_instruction[turn + 1] - chain->first_instruction[turn];
  return atomic_load(&pass->lane->done[turn]) == parts;
}

static void wait_for_turn(shared_pass *pass, int turn) {
  double end = 0;
  while (!is_done(pass, turn)) {
    for (int i = 0; i < 100 && !is_done(pass, turn); i++) THAW_PAUSE();
    double time = now();
    if (end == 0) end = time + PATIENCE;
    if (time > end) break;
  }
  if (is_done(pass, turn)) return;
  pthread_mutex_lock(&pass->lock);
  atomic_fetch_add(&pass->sleepers, 1);
  while (!is_done(pass, turn)) pthread_cond_wait(&pass->turn_done, &pass->lock);
  atomic_fetch_sub(&pass->sleepers, 1);
  pthread_mutex_unlock(&pass->lock);
}

static void do_part(shared_pass *pass, int turn, int index) {
  if (atomic_load(&pass->status) == dnnl_success) {
    int status = execute(pass->lane, index);
    if (status != dnnl_success) {
      atomic_store(&pass->failed_instruction, index);
      atomic_store(&pass->status, status);
    }
  }
  atomic_fetch_add(&pass->lane->done[turn], 1);
  if (atomic_load(&pass->sleepers) == 0 || !is_done(pass, turn)) return;
  pthread_mutex_lock(&pass->lock);
  pthread_cond_broadcast(&pass->turn_done);
  pthread_mutex_unlock(&pass->lock);
}

// One thread's way through a pass. It takes whatever part nobody has begun, its own first, so that it
// finds what it wrote itself in its core's cache; and it waits only for parts that somebody has begun.
static void join_pass(void *data, int member) {
  shared_pass *pass = data;
  thaw_dnnl_lane *lane = pass->lane;
  const thaw_dnnl_chain *chain = lane->chain;
  for (int turn = atomic_load(&pass->turn); turn < chain->turn_count; turn++) {
    int first = chain->first_instruction[turn];
    int parts = chain->first_instruction[turn + 1] - first;
    double start = lane->seconds && member == 0 ? now() : 0;
    for (int i = 0; i < parts; i++) {
      int part = first + (member + i) % parts;
      if (!atomic_load(&lane->taken[part]) && !atomic_exchange(&lane->taken[part], true))
        do_part(pass, turn, part);
    }
    wait_for_turn(pass, turn);
    if (lane->seconds && member == 0) lane->seconds[turn] += now() - start;
    if (atomic_load(&pass->turn) <= turn) atomic_store(&pass->turn, turn + 1);
  }
}

int thaw_dnnl_lane_share(
    thaw_dnnl_lane *lane, int members, const float *input, float *output,
    int *failed_instruction) {
  const thaw_dnnl_chain *chain = lane->chain;
  int status = bind_moving(lane, (const char *)input, (char *)output);
  if (status != dnnl_success) return status;
  for (int i = 0; i < chain->instruction_count; i++) atomic_store(&lane->taken[i], false);
  for (int i = 0; i < chain->turn_count; i++) atomic_store(&lane->done[i], 0);
  shared_pass pass = {
      .lane = lane, .lock = PTHREAD_MUTEX_INITIALIZER, .turn_done = PTHREAD_COND_INITIALIZER};
  thaw_dnnl_parallel(members, join_pass, &pass);
  pthread_cond_destroy(&pass.turn_done);
  pthread_mutex_destroy(&pass.lock);
  *failed_instruction = atomic_load(&pass.failed_instruction);
  return atomic_load(&pass.status);
}
