// SPDX-License-Identifier: Apache-2.0
//
// Pieces of a primitive: the same operation on a range of its result's channels or rows, where that range
// lies in one piece in memory. A piece is made of the whole's own description with other extents, and it is
// taken only when the library gives it the kernel that the whole has. Sums are never cut, so a piece adds the
// same numbers; in which order, a kernel may let depend on the extents (1x1 convolutions on AVX-512 do). Where
// it is not known that it does not, pieces are tried first (thaw_dnnl_parts_agree).
#include <stdlib.h>
#include <string.h>

#include "thaw_dnnl_internal.h"

// Multiplications, or elements of a pass over memory, that a part has at least: a few microseconds of work,
// below which threads meeting costs more than it gains.
enum { LEAST_PRODUCTS = 100000, LEAST_ELEMENTS = 8192 };

enum { NO_AXIS = -1, BATCH, CHANNELS, HEIGHT, WIDTH };

// ---- Tensors ------------------------------------------------------------------------------------

static bool is_blocked(const dnnl_memory_desc_t *tensor) {
  return tensor->format_kind == dnnl_blocked && tensor->extra.flags == 0 && tensor->offset0 == 0;
}

static int64_t block_of(const dnnl_memory_desc_t *tensor, int axis) {
  const dnnl_blocking_desc_t *blocking = &tensor->format_desc.blocking;
  int64_t block = 1;
  for (int i = 0; i < blocking->inner_nblks; i++)
    if (blocking->inner_idxs[i] == axis) block *= blocking->inner_blks[i];
  return block;
}

static int64_t steps_of(const dnnl_memory_desc_t *tensor, int axis) {
  return tensor->padded_dims[axis] / block_of(tensor, axis);
}

// Whether channels lie side by side.
static bool is_channels_last(const dnnl_memory_desc_t *tensor) {
  const dnnl_blocking_desc_t *blocking = &tensor->format_desc.blocking;
  return is_blocked(tensor) && blocking->inner_nblks == 0 && tensor->ndims == 4 &&
         blocking->strides[CHANNELS] == 1 && tensor->dims[CHANNELS] > 1 &&
         tensor->dims[HEIGHT] * tensor->dims[WIDTH] > 1;
}

// Shortens `axis` of `tensor` to `count` from `first` on. False where that is not one piece in memory that is
// ordered as the whole.
static bool cut(
    dnnl_memory_desc_t *tensor, int axis, int64_t first, int64_t count, size_t *bytes) {
  *bytes = 0;
  if (axis == NO_AXIS) return true;
  int64_t block = block_of(tensor, axis);
  if (!is_blocked(tensor) || first % block != 0) return false;
  dnnl_blocking_desc_t *blocking = &tensor->format_desc.blocking;
  size_t size = tensor->data_type == dnnl_bf16 ? 2 : 4;
  *bytes = (size_t)(first / block * blocking->strides[axis]) * size;
  // Everything outside the axis has to be of extent 1.
  for (int i = 0; i < tensor->ndims; i++)
    if (i != axis && steps_of(tensor, i) > 1 && blocking->strides[i] > blocking->strides[axis])
      return false;
  int64_t steps = (count + block - 1) / block, outer = steps * blocking->strides[axis];
  for (int i = 0; i < tensor->ndims; i++)
    if (i != axis && steps_of(tensor, i) == 1 && blocking->strides[i] > blocking->strides[axis])
      blocking->strides[i] = outer;
  tensor->dims[axis] = count;
  tensor->padded_dims[axis] = steps * block;
  return true;
}

// ---- How a primitive may be cut -----------------------------------------------------------------

// What is known of a primitive that may be cut.
typedef struct {
  const void *operation;
  dnnl_primitive_kind_t kind;
  const dnnl_memory_desc_t *source, *second, *weights, *bias, *destination;
  int axis;         // of the destination
  int64_t unit;     // elements of that axis that stay together
  int64_t units;
  int64_t groups;   // of a convolution; 1 for none
} plan;

static const dnnl_memory_desc_t *tensor_of(
    const thaw_dnnl_primitive *primitive, dnnl_query_t what, int index) {
  const dnnl_memory_desc_t *found =
      dnnl_primitive_desc_query_md(primitive->description, what, index);
  return found && found->ndims > 0 ? found : NULL;
}

// Products of matrices choose their blocks, and with them the order of their sums, by all three extents, which
// stay the same where whole groups are cut.
static bool may_keep_order(
    const thaw_dnnl_primitive *primitive, dnnl_primitive_kind_t kind, bool has_groups) {
  const char *name = thaw_dnnl_primitive_kernel(primitive);
  if (kind != dnnl_convolution)
    return strncmp(name, "jit", 3) == 0 || strncmp(name, "simple", 6) == 0;
  return (has_groups || !strstr(name, "gemm")) && !strstr(name, "wino") && !strstr(name, "ref");
}

static int64_t product(const dnnl_memory_desc_t *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->ndims; i++) count *= tensor->dims[i];
  return count;
}

static int64_t most_parts(const plan *each) {
  int64_t elements = product(each->destination);
  if (each->kind != dnnl_convolution) return elements / LEAST_ELEMENTS;
  int64_t products = elements * (product(each->weights) / each->destination->dims[CHANNELS]);
  return products / LEAST_PRODUCTS;
}

// Rows of an image; its pixels where it has one row, as a sequence of tokens has.
static void by_rows(plan *each, const dnnl_dims_t kernel) {
  bool is_line = each->destination->dims[HEIGHT] == 1;
  if (is_line && kernel[1] != 1) return;
  each->axis = is_line ? WIDTH : HEIGHT;
  each->unit = 1;
  each->units = each->destination->dims[each->axis];
}

static void by_channels(plan *each, int64_t unit) {
  each->axis = CHANNELS;
  each->unit = unit;
  each->units = (each->destination->dims[CHANNELS] + unit - 1) / unit;
}

static void plan_convolution(plan *each) {
  const dnnl_memory_desc_t *weights = each->weights;
  int spatial = weights->ndims - 2;
  if (each->destination->ndims != 4 || each->destination->dims[BATCH] != 1) return;
  if (weights->ndims == 5) each->groups = weights->dims[0];
  if (is_channels_last(each->destination) && is_channels_last(each->source))
    return by_rows(each, weights->dims + spatial);
  int64_t block = block_of(each->destination, CHANNELS);
  if (each->groups == 1 && block > 1) return by_channels(each, block);
  if (each->groups == 1) return;
  int64_t outputs = weights->dims[1], inputs = weights->dims[2];
  int64_t inputs_block = block_of(each->source, CHANNELS), together = block_of(weights, 0);
  if (outputs != inputs && outputs % block != 0) return;
  while (together <= each->groups &&
         (together * outputs % block != 0 || together * inputs % inputs_block != 0))
    together += block_of(weights, 0);
  by_channels(each, together * outputs);
}

static void plan_image(plan *each, const dnnl_dims_t kernel) {
  if (each->destination->ndims != 4 || each->destination->dims[BATCH] != 1) return;
  if (is_channels_last(each->destination)) return by_rows(each, kernel);
  int64_t block = block_of(each->destination, CHANNELS);
  if (block > 1) by_channels(each, block);
}

static const dnnl_dim_t *window_of(const plan *each) {
  return each->kind == dnnl_pooling ? ((const dnnl_pooling_desc_t *)each->operation)->kernel
                                    : ((const dnnl_pooling_v2_desc_t *)each->operation)->kernel;
}

// Fills in what `primitive` is and how it may be cut; `units` stays 1 where it is not.
static void make_plan(plan *each, const thaw_dnnl_primitive *primitive) {
  static const dnnl_dims_t pixel = {1, 1};
  *each = (plan){.units = 1, .groups = 1};
  const void *operation = NULL;
  if (dnnl_primitive_desc_query(primitive->description, dnnl_query_op_d, 0, (void *)&operation) !=
          dnnl_success || !operation)
    return;
  each->operation = operation;
  each->kind = *(const dnnl_primitive_kind_t *)operation;
  each->source = tensor_of(primitive, dnnl_query_src_md, 0);
  each->second = tensor_of(primitive, dnnl_query_src_md, 1);
  each->weights = tensor_of(primitive, dnnl_query_weights_md, 0);
  each->bias = tensor_of(primitive, dnnl_query_weights_md, 1);
  each->destination = tensor_of(primitive, dnnl_query_dst_md, 0);
  if (!each->source || !each->destination) return;
  bool has_groups = each->weights && each->weights->ndims == 5;
  if (!may_keep_order(primitive, each->kind, has_groups)) return;
  if (!is_blocked(each->source) || !is_blocked(each->destination)) return;
  switch (each->kind) {
    case dnnl_convolution: plan_convolution(each); break;
    case dnnl_pooling:
    case dnnl_pooling_v2: plan_image(each, window_of(each)); break;
    case dnnl_eltwise:
    case dnnl_binary: plan_image(each, pixel); break;
    case dnnl_layer_normalization:
      each->axis = 0;
      each->unit = 1;
      each->units = each->destination->dims[0];
      break;
    default: break;
  }
}

int64_t thaw_dnnl_primitive_units(const thaw_dnnl_primitive *primitive) {
  plan each;
  make_plan(&each, primitive);
  return each.units;
}

int64_t thaw_dnnl_primitive_most_parts(const thaw_dnnl_primitive *primitive) {
  plan each;
  make_plan(&each, primitive);
  int64_t most = each.units > 1 ? most_parts(&each) : 1;
  return most > each.units ? each.units : most < 1 ? 1 : most;
}

bool thaw_dnnl_primitive_is_proven(const thaw_dnnl_primitive *primitive) {
  // These add in blocks of a fixed length, which the tests of every family confirm.
  static const char *const proven[] = {
      "jit:avx2", "jit_1x1:avx2", "jit:avx", "jit_1x1:avx", "jit:sse41", "jit_1x1:sse41"};
  plan each;
  make_plan(&each, primitive);
  if (each.kind != dnnl_convolution) return true;
  const char *name = thaw_dnnl_primitive_kernel(primitive);
  for (size_t i = 0; i < sizeof proven / sizeof *proven; i++)
    if (strcmp(name, proven[i]) == 0) return true;
  // Depthwise sums have the window's taps alone.
  return each.weights && each.weights->ndims == 5 && each.weights->dims[2] == 1 &&
         strstr(name, "dw") != NULL;
}

// ---- Making a piece -----------------------------------------------------------------------------

// A piece under construction: `first` and `count` are elements of the destination's axis.
typedef struct {
  const plan *plan;
  int64_t first, count;
  thaw_dnnl_primitive *made;
} piece;

static bool note(piece *each, int role, size_t bytes) {
  if (bytes == 0) return true;
  if (each->made->offset_count == THAW_DNNL_MOST_OFFSETS) return false;
  each->made->offsets[each->made->offset_count++] = (thaw_dnnl_offset){role, bytes};
  return true;
}

static bool cut_for(
    piece *each, int role, dnnl_memory_desc_t *tensor, int axis, int64_t first, int64_t count) {
  size_t bytes;
  return cut(tensor, axis, first, count, &bytes) && note(each, role, bytes);
}

// A tensor that is read where the result is written, or repeats along the axis.
static bool cut_beside(piece *each, int role, dnnl_memory_desc_t *tensor) {
  int axis = each->plan->axis;
  if (tensor->dims[axis] == 1) return true;
  return cut_for(each, role, tensor, axis, each->first, each->count);
}

static dnnl_status_t append_again(
    piece *each, const_dnnl_post_ops_t from, int index, dnnl_post_ops_t to) {
  float scale, alpha, beta;
  dnnl_alg_kind_t algorithm;
  const dnnl_memory_desc_t *operand;
  switch (dnnl_post_ops_get_kind(from, index)) {
    case dnnl_sum:
      dnnl_post_ops_get_params_sum(from, index, &scale);
      return dnnl_post_ops_append_sum(to, scale);
    case dnnl_eltwise:
      dnnl_post_ops_get_params_eltwise(from, index, &scale, &algorithm, &alpha, &beta);
      return dnnl_post_ops_append_eltwise(to, scale, algorithm, alpha, beta);
    case dnnl_binary: {
      dnnl_post_ops_get_params_binary(from, index, &algorithm, &operand);
      dnnl_memory_desc_t own = *operand;
      if (!cut_beside(each, THAW_DNNL_EPILOGUE_SOURCE + index, &own)) return dnnl_unimplemented;
      return dnnl_post_ops_append_binary(to, algorithm, &own);
    }
    default: return dnnl_unimplemented;
  }
}

static dnnl_status_t make_attributes(
    piece *each, const thaw_dnnl_primitive *whole, dnnl_primitive_attr_t *attributes) {
  const_dnnl_primitive_attr_t from;
  const_dnnl_post_ops_t steps;
  dnnl_post_ops_t own = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(attributes);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_primitive_desc_get_attr(whole->description, &from);
  if (status == dnnl_success) status = dnnl_primitive_attr_get_post_ops(from, &steps);
  if (status == dnnl_success) status = dnnl_post_ops_create(&own);
  int count = status == dnnl_success ? dnnl_post_ops_len(steps) : 0;
  for (int i = 0; status == dnnl_success && i < count; i++)
    status = append_again(each, steps, i, own);
  if (status == dnnl_success && count > 0)
    status = dnnl_primitive_attr_set_post_ops(*attributes, own);
  if (own) dnnl_post_ops_destroy(own);
  if (status != dnnl_success) dnnl_primitive_attr_destroy(*attributes);
  return status;
}

// What a range of output rows (or columns) reads: writes its padding and cuts the source.
static bool cut_window(
    piece *each, dnnl_memory_desc_t *source, const dnnl_dims_t kernel, const dnnl_dims_t stride,
    const dnnl_dims_t dilation, dnnl_dims_t padding[2]) {
  int axis = each->plan->axis, at = axis - HEIGHT;
  int64_t extent = source->dims[axis];
  int64_t first = each->first * stride[at] - padding[0][at];
  int64_t end = (each->first + each->count - 1) * stride[at] - padding[0][at] +
                (kernel[at] - 1) * (dilation[at] + 1) + 1;
  int64_t begins = first > 0 ? first : 0, ends = end < extent ? end : extent;
  if (ends <= begins) return false;
  padding[0][at] = begins - first;
  padding[1][at] = end - ends;
  return cut_for(each, THAW_DNNL_SOURCE, source, axis, begins, ends - begins);
}

static bool cut_convolution(piece *each, dnnl_convolution_desc_t *operation) {
  const plan *plan = each->plan;
  operation->src_desc = *plan->source;
  operation->weights_desc = *plan->weights;
  operation->dst_desc = *plan->destination;
  if (plan->bias) operation->bias_desc = *plan->bias;
  if (plan->axis != CHANNELS) {
    const dnnl_dim_t *kernel = plan->weights->dims + plan->weights->ndims - 2;
    return cut_window(
        each, &operation->src_desc, kernel, operation->strides, operation->dilates,
        operation->padding);
  }
  int64_t first = each->first, count = each->count;
  if (plan->bias && !cut_for(each, THAW_DNNL_BIAS, &operation->bias_desc, 0, first, count))
    return false;
  if (plan->groups > 1) {
    int64_t outputs = plan->weights->dims[1], inputs = plan->weights->dims[2];
    if (!cut_for(
            each, THAW_DNNL_SOURCE, &operation->src_desc, CHANNELS, first / outputs * inputs,
            count / outputs * inputs))
      return false;
    first /= outputs;
    count /= outputs;
  }
  return cut_for(each, THAW_DNNL_WEIGHTS, &operation->weights_desc, 0, first, count);
}

static bool cut_pooling(
    piece *each, dnnl_memory_desc_t *source, const dnnl_dims_t kernel, const dnnl_dims_t stride,
    const dnnl_dims_t dilation, dnnl_dims_t padding[2]) {
  *source = *each->plan->source;
  if (each->plan->axis != CHANNELS)
    return cut_window(each, source, kernel, stride, dilation, padding);
  return cut_for(each, THAW_DNNL_SOURCE, source, CHANNELS, each->first, each->count);
}

typedef union {
  dnnl_primitive_kind_t kind;
  dnnl_convolution_desc_t convolution;
  dnnl_pooling_desc_t pooling;
  dnnl_pooling_v2_desc_t dilated_pooling;
  dnnl_eltwise_desc_t function;
  dnnl_binary_desc_t binary;
  dnnl_layer_normalization_desc_t normalization;
} description;

// Everything but the destination.
static bool cut_sources(piece *each, description *operation) {
  static const dnnl_dims_t dense = {0};
  switch (each->plan->kind) {
    case dnnl_convolution: return cut_convolution(each, &operation->convolution);
    case dnnl_pooling: {
      dnnl_pooling_desc_t *own = &operation->pooling;
      return cut_pooling(
          each, &own->src_desc, own->kernel, own->strides, dense, own->padding);
    }
    case dnnl_pooling_v2: {
      dnnl_pooling_v2_desc_t *own = &operation->dilated_pooling;
      return cut_pooling(
          each, &own->src_desc, own->kernel, own->strides, own->dilation, own->padding);
    }
    case dnnl_eltwise:
      operation->function.data_desc = *each->plan->source;
      return cut_beside(each, THAW_DNNL_SOURCE, &operation->function.data_desc);
    case dnnl_layer_normalization:
      operation->normalization.data_desc = *each->plan->source;
      memset(&operation->normalization.stat_desc, 0, sizeof(dnnl_memory_desc_t));
      return cut_beside(each, THAW_DNNL_SOURCE, &operation->normalization.data_desc);
    default:
      operation->binary.src_desc[0] = *each->plan->source;
      operation->binary.src_desc[1] = *each->plan->second;
      return cut_beside(each, THAW_DNNL_SOURCE, &operation->binary.src_desc[0]) &&
             cut_beside(each, THAW_DNNL_SECOND_SOURCE, &operation->binary.src_desc[1]);
  }
}

static dnnl_memory_desc_t *destination_in(description *operation) {
  switch (operation->kind) {
    case dnnl_convolution: return &operation->convolution.dst_desc;
    case dnnl_pooling: return &operation->pooling.dst_desc;
    case dnnl_pooling_v2: return &operation->dilated_pooling.dst_desc;
    case dnnl_binary: return &operation->binary.dst_desc;
    default: return NULL;  // the source's own
  }
}

static size_t size_of(dnnl_primitive_kind_t kind) {
  switch (kind) {
    case dnnl_convolution: return sizeof(dnnl_convolution_desc_t);
    case dnnl_pooling: return sizeof(dnnl_pooling_desc_t);
    case dnnl_pooling_v2: return sizeof(dnnl_pooling_v2_desc_t);
    case dnnl_eltwise: return sizeof(dnnl_eltwise_desc_t);
    case dnnl_binary: return sizeof(dnnl_binary_desc_t);
    default: return sizeof(dnnl_layer_normalization_desc_t);
  }
}

static int make_piece(piece *each, const thaw_dnnl_primitive *whole) {
  description operation;
  dnnl_memory_desc_t destination = *each->plan->destination;
  memcpy(&operation, each->plan->operation, size_of(each->plan->kind));
  if (!cut_sources(each, &operation)) return dnnl_unimplemented;
  if (!cut_for(
          each, THAW_DNNL_DESTINATION, &destination, each->plan->axis, each->first, each->count))
    return dnnl_unimplemented;
  dnnl_memory_desc_t *own = destination_in(&operation);
  if (own) *own = destination;
  dnnl_primitive_attr_t attributes;
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success) status = make_attributes(each, whole, &attributes);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_desc_create(
      &each->made->description, &operation, attributes, engine, NULL);
  dnnl_primitive_attr_destroy(attributes);
  if (status != dnnl_success) return status;
  return strcmp(thaw_dnnl_primitive_kernel(each->made), thaw_dnnl_primitive_kernel(whole)) == 0
             ? dnnl_success : dnnl_unimplemented;
}

int thaw_dnnl_primitive_part(
    thaw_dnnl_primitive **part, const thaw_dnnl_primitive *whole, int64_t first, int64_t count) {
  *part = NULL;
  plan how;
  make_plan(&how, whole);
  if (how.units < 2 || first < 0 || count < 1 || first + count > how.units)
    return dnnl_invalid_arguments;
  int64_t extent = how.destination->dims[how.axis];
  int64_t from = first * how.unit, to = (first + count) * how.unit;
  piece each = {.plan = &how, .first = from, .count = (to < extent ? to : extent) - from};
  each.made = calloc(1, sizeof *each.made);
  if (!each.made) return dnnl_out_of_memory;
  int status = make_piece(&each, whole);
  if (status != dnnl_success) {
    thaw_dnnl_primitive_destroy(each.made);
    return status;
  }
  *part = each.made;
  return dnnl_success;
}

size_t thaw_dnnl_primitive_offset(const thaw_dnnl_primitive *primitive, int role) {
  for (int i = 0; i < primitive->offset_count; i++)
    if (primitive->offsets[i].role == role) return primitive->offsets[i].bytes;
  return 0;
}
