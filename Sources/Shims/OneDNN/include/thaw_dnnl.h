// SPDX-License-Identifier: Apache-2.0
//
// The part of oneDNN that Thaw uses, behind opaque handles. Everything that differs between oneDNN
// 2.x (descriptor structs, operation descriptors) and 3.x stays behind this header. Every function
// that can fail returns a status, 0 for success; `thaw_dnnl_status_text` puts it in words.
// Numbers are Float32 unless a layout says bfloat16. Handles are not synchronised: one owner, one thread at a time.
#ifndef THAW_DNNL_H
#define THAW_DNNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Status values beyond oneDNN's own: see thaw_dnnl_status_text.
enum { THAW_DNNL_OK = 0, THAW_DNNL_OUT_OF_MEMORY = 1 };

const char *thaw_dnnl_status_text(int status);
// Whether the status says that no kernel exists for what was asked.
bool thaw_dnnl_is_unsupported(int status);
// Major, minor and patch number of the library that runs.
void thaw_dnnl_version(int version[3]);

/// The instructions that the library uses on this processor, for example "AVX-512 with bfloat16".
const char *thaw_dnnl_instructions(void);
/// Whether the processor multiplies bfloat16 by instructions of its own.
bool thaw_dnnl_has_bfloat16(void);

// ---- Threads ------------------------------------------------------------------------------------

// Sets the OpenMP team size for work that the calling thread starts from now on and returns what it
// was. OpenMP keeps this number per thread, so whoever computes calls it on the thread that computes.
int thaw_dnnl_set_threads(int count);
int thaw_dnnl_thread_count(void);
// Calls body(context, i) once for each i in 0..<shares, at the same time on threads that sleep when
// there is nothing to do, with OpenMP teams of one thread inside. Whoever is there does what nobody else
// has begun: a share may not wait for another one, and what it computes must follow from i alone.
void thaw_dnnl_parallel(int shares, void (*body)(void *context, int share), void *context);
// How many threads work when there are `count` shares: no more than OMP_THREAD_LIMIT.
int thaw_dnnl_granted(int count);
// Calls body(context, member) on each member of a parallel region, as a host may that calls Thaw from
// within one: for tests.
void thaw_dnnl_host_region(
    int threads, void (*body)(void *context, int member), void *context);
// Writes the numbers of the processors this process may run on, at most `capacity` of them, and
// returns how many; 0 when the system does not say. (Swift's Glibc lacks the affinity calls.)
int thaw_allowed_processors(int *processors, int capacity);

// ---- Layouts: shape and order of a tensor in memory ---------------------------------------------

typedef struct thaw_dnnl_layout thaw_dnnl_layout;

typedef enum {
  THAW_DNNL_ANY,           // the primitive chooses
  THAW_DNNL_DENSE,         // row major
  THAW_DNNL_CHANNELS_LAST  // N, H, W, C in memory; 4 extents only
} thaw_dnnl_order;

// What an element is.
typedef enum {
  THAW_DNNL_FLOAT32,
  THAW_DNNL_BFLOAT16  // the upper half of a Float32, rounded to nearest even
} thaw_dnnl_element;

int thaw_dnnl_layout_create(
    thaw_dnnl_layout **layout, const int64_t *extents, int rank, thaw_dnnl_order order,
    thaw_dnnl_element element);
// The layout with other extents that has its channels in the same blocks as `like`: row major where
// `like` is not blocked.
int thaw_dnnl_layout_create_like(
    thaw_dnnl_layout **layout, const int64_t *extents, int rank, const thaw_dnnl_layout *like,
    thaw_dnnl_element element);
// The same order with other elements.
int thaw_dnnl_layout_create_as(
    thaw_dnnl_layout **layout, const thaw_dnnl_layout *like, thaw_dnnl_element element);
thaw_dnnl_element thaw_dnnl_layout_element(const thaw_dnnl_layout *layout);
void thaw_dnnl_layout_destroy(thaw_dnnl_layout *layout);
size_t thaw_dnnl_layout_bytes(const thaw_dnnl_layout *layout);
bool thaw_dnnl_layout_equal(const thaw_dnnl_layout *left, const thaw_dnnl_layout *right);
// Whether the bytes in memory are those of the row-major tensor, whatever the layout is called:
// a 16-blocked [N, 32, 1, 1] is.
bool thaw_dnnl_layout_is_dense(const thaw_dnnl_layout *layout);
// How many channels of images lie beside each other: 1 where they are not in blocks.
int64_t thaw_dnnl_layout_channel_block(const thaw_dnnl_layout *layout);

// ---- Primitives ---------------------------------------------------------------------------------

typedef struct thaw_dnnl_primitive thaw_dnnl_primitive;

// The tensors a primitive works on.
typedef enum {
  THAW_DNNL_SOURCE,
  THAW_DNNL_SECOND_SOURCE,
  THAW_DNNL_WEIGHTS,
  THAW_DNNL_BIAS,
  THAW_DNNL_DESTINATION,
  THAW_DNNL_SCRATCHPAD,
  THAW_DNNL_SOURCE_GRADIENT,
  THAW_DNNL_WEIGHTS_GRADIENT,
  THAW_DNNL_DESTINATION_GRADIENT,
  THAW_DNNL_CONCAT_SOURCE = 64,    // + index
  THAW_DNNL_EPILOGUE_SOURCE = 128  // + index in the epilogue
} thaw_dnnl_role;

typedef enum {
  THAW_DNNL_RELU,
  THAW_DNNL_RELU6,
  THAW_DNNL_SILU,
  THAW_DNNL_SIGMOID,
  THAW_DNNL_GELU,        // exact, by the error function
  THAW_DNNL_GELU_TANH,   // approximated by the hyperbolic tangent
  THAW_DNNL_QUICK_GELU,  // x * sigmoid(1.702 x)
  THAW_DNNL_HARD_SWISH,  // x * min(max(x / 6 + 1/2, 0), 1)
  THAW_DNNL_HARD_LINE,   // x / 6 + 1/2
  THAW_DNNL_UNIT_CLIP,   // min(max(x, 0), 1)
  THAW_DNNL_ACCUMULATE,  // adds what the destination held before
  THAW_DNNL_ADD          // adds another tensor, `operand`
} thaw_dnnl_function;

// What follows the operation itself, in order.
typedef struct {
  thaw_dnnl_function function;
  const thaw_dnnl_layout *operand;
} thaw_dnnl_epilogue;

// Height then width in each pair; dilation 1 is dense; padding before and after may differ.
typedef struct {
  int64_t kernel[2], stride[2], dilation[2], before[2], after[2];
} thaw_dnnl_window;

typedef enum {
  THAW_DNNL_MAXIMUM,
  THAW_DNNL_AVERAGE_INCLUDING_PADDING,
  THAW_DNNL_AVERAGE_EXCLUDING_PADDING
} thaw_dnnl_pooling_kind;

// Forward convolution in inference; `weights` has 5 extents when grouped.
int thaw_dnnl_convolution(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *bias,
    const thaw_dnnl_layout *destination, const thaw_dnnl_window *window,
    const thaw_dnnl_epilogue *epilogue, int epilogue_count);
// Gradient of a convolution by its weights, else by its source, from that by its destination.
int thaw_dnnl_convolution_backward(
    thaw_dnnl_primitive **primitive, bool of_weights, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *destination,
    const thaw_dnnl_window *window);
int thaw_dnnl_inner_product(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *bias,
    const thaw_dnnl_layout *destination, const thaw_dnnl_epilogue *epilogue, int epilogue_count);
int thaw_dnnl_pooling(
    thaw_dnnl_primitive **primitive, thaw_dnnl_pooling_kind kind, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination, const thaw_dnnl_window *window);
// Element-wise function; destination has the source's layout and may be the same memory.
int thaw_dnnl_activation(
    thaw_dnnl_primitive **primitive, thaw_dnnl_function function, const thaw_dnnl_layout *data);
// destination = first + second, or first * second, then the epilogue; `second` may have extents of
// 1 where it repeats. The destination has the first's layout and may be the same memory.
int thaw_dnnl_binary(
    thaw_dnnl_primitive **primitive, bool multiplies, const thaw_dnnl_layout *first,
    const thaw_dnnl_layout *second, const thaw_dnnl_epilogue *epilogue, int epilogue_count);
// Normalises each row of `data`, [rows, C] row major, then scales and shifts; the destination has the
// same layout and may be the same memory. The weights are [2, C]: scales, then shifts.
int thaw_dnnl_layer_normalization(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *data, float epsilon);
// Along extent 1; the destination's layout is chosen by the library.
int thaw_dnnl_concatenation(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *const *sources, int count);
int thaw_dnnl_reorder(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination);
// A reorder that multiplies by `count` factors, one for each index of the first `extents` extents
// (NULL: none), and adds to what the destination holds when `accumulates`.
int thaw_dnnl_scaled_reorder(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination, const float *scales, int64_t count, int extents,
    bool accumulates);

void thaw_dnnl_primitive_destroy(thaw_dnnl_primitive *primitive);

// Compiles the kernel where that has not been done, as whatever runs a primitive does: a description alone says
// which layouts it wants, and of a primitive and its parts a plan may need one or the other. Several
// primitives may be compiled at the same time.
int thaw_dnnl_primitive_compile(const thaw_dnnl_primitive *primitive);
// How many units of its result a primitive may be cut into: blocks of channels, or rows; 1 where it may not.
int64_t thaw_dnnl_primitive_units(const thaw_dnnl_primitive *primitive);
// Into how many parts it is worth cutting it, at least 1.
int64_t thaw_dnnl_primitive_most_parts(const thaw_dnnl_primitive *primitive);
// The primitive that computes `count` of these units, from `first` on, to the bits that `whole` computes
// there. Unsupported where the library has another kernel for it.
int thaw_dnnl_primitive_part(
    thaw_dnnl_primitive **part, const thaw_dnnl_primitive *whole, int64_t first, int64_t count);
// Whether parts are known to give the bits of the whole.
bool thaw_dnnl_primitive_is_proven(const thaw_dnnl_primitive *primitive);
// Whether they do so on numbers that are made up here; for convolutions.
int thaw_dnnl_parts_agree(
    const thaw_dnnl_primitive *whole, const thaw_dnnl_primitive *const *parts, int count,
    bool *agree);
// Where a part's tensor begins within that of the whole, in bytes.
size_t thaw_dnnl_primitive_offset(const thaw_dnnl_primitive *part, int role);
// The layout this primitive wants for one of its tensors, named by a thaw_dnnl_role and an index where it has
// one; the caller destroys it.
int thaw_dnnl_primitive_layout(
    const thaw_dnnl_primitive *primitive, int role, thaw_dnnl_layout **layout);
// Name of the kernel behind it, for example `jit:avx512_core`; valid as long as the primitive.
const char *thaw_dnnl_primitive_kernel(const thaw_dnnl_primitive *primitive);
// Runs a primitive that has one source and one destination and no scratchpad, now.
int thaw_dnnl_run_reorder(
    const thaw_dnnl_primitive *primitive, const thaw_dnnl_layout *source, const void *from,
    const thaw_dnnl_layout *destination, void *to);

// ---- Calls: one primitive with its arguments, on memory that may differ each time ----------------

typedef struct thaw_dnnl_call thaw_dnnl_call;

enum { THAW_DNNL_MOST_ARGUMENTS = 8 };

// Binds `primitive` (borrowed) to `count` arguments, at most THAW_DNNL_MOST_ARGUMENTS. One call is used by one thread at a time; any
// number of calls may share a primitive.
int thaw_dnnl_call_create(
    thaw_dnnl_call **call, const thaw_dnnl_primitive *primitive, const int *roles,
    const thaw_dnnl_layout *const *layouts, int count);
// Runs on the memory at `addresses`, one for each argument.
int thaw_dnnl_call_run(thaw_dnnl_call *call, void *const *addresses);
void thaw_dnnl_call_destroy(thaw_dnnl_call *call);

// ---- Chains: primitives in order, on memory planned beforehand ----------------------------------

// What to compute. Once complete it is only read, by any number of lanes.
typedef struct thaw_dnnl_chain thaw_dnnl_chain;
// The memory to compute one pass in, bound to the arguments of a chain.
typedef struct thaw_dnnl_lane thaw_dnnl_lane;

typedef enum {
  THAW_DNNL_IN_ARENA,   // `offset` bytes into the lane's arena
  THAW_DNNL_AT_ADDRESS, // `offset` bytes behind `address`, read only, shared by all lanes
  THAW_DNNL_AT_INPUT,   // the images of this pass, `offset` bytes from their start
  THAW_DNNL_AT_OUTPUT   // the results of this pass, the same
} thaw_dnnl_place;

// One tensor of one instruction. `role` is a thaw_dnnl_role (plus an index where it has one).
typedef struct {
  int role;
  const thaw_dnnl_layout *layout;
  thaw_dnnl_place place;
  size_t offset;
  const void *address;
} thaw_dnnl_argument;

// Makes an empty chain, whose lanes have arenas of `arena_bytes`.
int thaw_dnnl_chain_create(
    thaw_dnnl_chain **chain, size_t arena_bytes, size_t input_bytes, size_t output_bytes);
void thaw_dnnl_chain_destroy(thaw_dnnl_chain *chain);
// Appends an instruction. The chain borrows the primitive and the layouts, which must outlive it.
int thaw_dnnl_chain_append(
    thaw_dnnl_chain *chain, const thaw_dnnl_primitive *primitive,
    const thaw_dnnl_argument *arguments, int count);
// What an instruction does that is no primitive: works on the memory of its arguments, in their order.
typedef int (*thaw_dnnl_step)(const void *context, void *const *addresses);
// Appends such an instruction; the chain borrows `context`. The roles of its arguments do not matter.
int thaw_dnnl_chain_append_step(
    thaw_dnnl_chain *chain, thaw_dnnl_step step, const void *context,
    const thaw_dnnl_argument *arguments, int count);
// Ends a turn: what was appended since the last one are parts that may be computed at the same time.
// Only chains whose passes are shared (thaw_dnnl_lane_share) have turns.
int thaw_dnnl_chain_end_turn(thaw_dnnl_chain *chain);
// Makes memory for one pass through a complete chain, which must outlive it.
int thaw_dnnl_lane_create(thaw_dnnl_lane **lane, const thaw_dnnl_chain *chain);
void thaw_dnnl_lane_destroy(thaw_dnnl_lane *lane);
// Runs `passes` passes of a chain in `count` of its lanes; pass i reads at input + i * input_bytes and
// writes at output + i * output_bytes.
//
// The lanes are spread over as many threads as OpenMP grants, and each takes the next pass as it becomes
// free; one lane runs on the calling thread. The primitives must have been created with one OpenMP
// thread. On failure `failed_instruction` is the index of the instruction.
int thaw_dnnl_lanes_run(
    thaw_dnnl_lane *const *lanes, int count, const float *input, float *output, int64_t passes,
    int *failed_instruction);
// Runs one pass of a chain of turns on at most `members` threads, of which some may come late or not at
// all: each takes the next part that nobody has begun, and goes to the next turn when all parts are done.
// What is computed does not depend on who computes it.
int thaw_dnnl_lane_share(
    thaw_dnnl_lane *lane, int members, const float *input, float *output, int *failed_instruction);
// Adds up wall time per instruction from now on into `seconds`, one element each (of shared passes, per
// turn); NULL stops. For
// measurement only: it reads the clock around every instruction.
void thaw_dnnl_lane_profile(thaw_dnnl_lane *lane, double *seconds);

// c [m, n] = alpha * op(a) [m, k] * op(b) [k, n] + beta * c, all row major with these distances between
// rows; op transposes where asked. On the calling thread's team, which is of one thread in a lane.
int thaw_dnnl_multiply(
    bool transposes_a, bool transposes_b, int64_t m, int64_t n, int64_t k, float alpha,
    const float *a, int64_t a_stride, const float *b, int64_t b_stride, float beta, float *c,
    int64_t c_stride);

// Memory on a 64-byte boundary, on huge pages where the system offers them; NULL when there is none.
void *thaw_dnnl_allocate(size_t bytes);
void thaw_dnnl_free(void *memory);

#endif
