// SPDX-License-Identifier: Apache-2.0
//
// Whether parts of a primitive give its bits, tried on made-up numbers.
#include <stdlib.h>
#include <string.h>

#include "thaw_dnnl_internal.h"

enum { MOST_TENSORS = 12 };

// The tensors of a convolution, whole.
typedef struct {
  int count;
  int roles[MOST_TENSORS];
  const dnnl_memory_desc_t *tensors[MOST_TENSORS];
  char *memory[MOST_TENSORS];
} trial;

static bool add(trial *each, int role, const dnnl_memory_desc_t *tensor) {
  if (!tensor || tensor->ndims == 0) return true;
  if (each->count == MOST_TENSORS) return false;
  char *memory = thaw_dnnl_allocate(dnnl_memory_desc_get_size(tensor));
  if (!memory) return false;
  each->roles[each->count] = role;
  each->tensors[each->count] = tensor;
  each->memory[each->count++] = memory;
  return true;
}

// Numbers of about 1 whose sums are rounded.
static void fill(const dnnl_memory_desc_t *tensor, char *memory, uint32_t seed) {
  bool is_half = tensor->data_type == dnnl_bf16;
  size_t count = dnnl_memory_desc_get_size(tensor) / (is_half ? 2 : 4);
  for (size_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    float value = (float)(int32_t)seed / 2147483648.0f;
    memcpy(memory + i * (is_half ? 2 : 4), (char *)&value + (is_half ? 2 : 0), is_half ? 2 : 4);
  }
}

static void fill_all(trial *each) {
  for (int i = 0; i < each->count; i++) fill(each->tensors[i], each->memory[i], 7u + (uint32_t)i);
}

static int run(const trial *each, const thaw_dnnl_primitive *primitive, dnnl_stream_t stream) {
  dnnl_engine_t engine;
  dnnl_exec_arg_t arguments[MOST_TENSORS + 1] = {{0}};
  int status = thaw_dnnl_engine(&engine), count = 0;
  if (status == dnnl_success) status = thaw_dnnl_primitive_compile(primitive);
  for (int i = 0; status == dnnl_success && i < each->count; i++) {
    int index = thaw_dnnl_argument_index(each->roles[i]);
    const dnnl_memory_desc_t *tensor =
        dnnl_primitive_desc_query_md(primitive->description, dnnl_query_exec_arg_md, index);
    arguments[count].arg = index;
    status = dnnl_memory_create(
        &arguments[count].memory, tensor, engine,
        each->memory[i] + thaw_dnnl_primitive_offset(primitive, each->roles[i]));
    if (status == dnnl_success) count++;
  }
  const dnnl_memory_desc_t *scratch =
      dnnl_primitive_desc_query_md(primitive->description, dnnl_query_scratchpad_md, 0);
  if (status == dnnl_success && scratch && dnnl_memory_desc_get_size(scratch) > 0) {
    arguments[count].arg = DNNL_ARG_SCRATCHPAD;
    status = dnnl_memory_create(
        &arguments[count].memory, scratch, engine, DNNL_MEMORY_ALLOCATE);
    if (status == dnnl_success) count++;
  }
  if (status == dnnl_success)
    status = dnnl_primitive_execute(primitive->primitive, stream, count, arguments);
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  for (int i = 0; i < count; i++) dnnl_memory_destroy(arguments[i].memory);
  return status;
}

static int gather(trial *each, const thaw_dnnl_primitive *whole) {
  dnnl_primitive_desc_t description = whole->description;
  const_dnnl_primitive_attr_t attributes;
  const_dnnl_post_ops_t steps;
  bool fits =
      add(each, THAW_DNNL_SOURCE, dnnl_primitive_desc_query_md(description, dnnl_query_src_md, 0)) &&
      add(each, THAW_DNNL_WEIGHTS,
          dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0)) &&
      add(each, THAW_DNNL_BIAS,
          dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 1));
  int status = dnnl_primitive_desc_get_attr(description, &attributes);
  if (status == dnnl_success) status = dnnl_primitive_attr_get_post_ops(attributes, &steps);
  for (int i = 0; status == dnnl_success && i < dnnl_post_ops_len(steps); i++) {
    dnnl_alg_kind_t algorithm;
    const dnnl_memory_desc_t *operand;
    if (dnnl_post_ops_get_kind(steps, i) != dnnl_binary) continue;
    status = dnnl_post_ops_get_params_binary(steps, i, &algorithm, &operand);
    if (status == dnnl_success) fits = fits && add(each, THAW_DNNL_EPILOGUE_SOURCE + i, operand);
  }
  // Last, so that the rest is filled with the same numbers each time.
  fits = fits && add(each, THAW_DNNL_DESTINATION,
                     dnnl_primitive_desc_query_md(description, dnnl_query_dst_md, 0));
  return status != dnnl_success ? status : fits ? dnnl_success : dnnl_out_of_memory;
}

int thaw_dnnl_parts_agree(
    const thaw_dnnl_primitive *whole, const thaw_dnnl_primitive *const *parts, int count,
    bool *agree) {
  *agree = false;
  trial each = {0};
  dnnl_engine_t engine;
  dnnl_stream_t stream = NULL;
  char *expected = NULL;
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success)
    status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  if (status == dnnl_success) status = gather(&each, whole);
  if (status == dnnl_success) {
    int last = each.count - 1;
    size_t size = dnnl_memory_desc_get_size(each.tensors[last]);
    fill_all(&each);
    status = run(&each, whole, stream);
    expected = malloc(size ? size : 1);
    if (status == dnnl_success && !expected) status = dnnl_out_of_memory;
    if (status == dnnl_success) memcpy(expected, each.memory[last], size);
    if (status == dnnl_success) fill_all(&each);
    for (int i = 0; status == dnnl_success && i < count; i++) status = run(&each, parts[i], stream);
    if (status == dnnl_success) *agree = memcmp(expected, each.memory[last], size) == 0;
  }
  free(expected);
  for (int i = 0; i < each.count; i++) thaw_dnnl_free(each.memory[i]);
  if (stream) dnnl_stream_destroy(stream);
  return status;
}
