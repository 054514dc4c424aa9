// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "thaw_dnnl_internal.h"

// ---- Attributes ---------------------------------------------------------------------------------

static dnnl_alg_kind_t algorithm_of(thaw_dnnl_function function, float *alpha, float *beta) {
  *alpha = 0;
  *beta = 0;
  switch (function) {
    case THAW_DNNL_RELU6: *beta = 6; return dnnl_eltwise_clip;
    case THAW_DNNL_SILU: *alpha = 1; return dnnl_eltwise_swish;
    case THAW_DNNL_SIGMOID: return dnnl_eltwise_logistic;
    case THAW_DNNL_GELU: return dnnl_eltwise_gelu_erf;
    case THAW_DNNL_GELU_TANH: return dnnl_eltwise_gelu_tanh;
    case THAW_DNNL_QUICK_GELU: *alpha = 1.702f; return dnnl_eltwise_swish;
    case THAW_DNNL_HARD_SWISH: return dnnl_eltwise_hardswish;
    case THAW_DNNL_HARD_LINE:
      *alpha = 1.0f / 6;
      *beta = 0.5f;
      return dnnl_eltwise_linear;
    case THAW_DNNL_UNIT_CLIP: *beta = 1; return dnnl_eltwise_clip;
    default: return dnnl_eltwise_relu;
  }
}

static dnnl_status_t append(dnnl_post_ops_t operations, const thaw_dnnl_epilogue *step) {
  if (step->function == THAW_DNNL_ACCUMULATE) return dnnl_post_ops_append_sum(operations, 1);
  if (step->function == THAW_DNNL_ADD)
    return dnnl_post_ops_append_binary(operations, dnnl_binary_add, &step->operand->description);
  float alpha, beta;
  dnnl_alg_kind_t algorithm = algorithm_of(step->function, &alpha, &beta);
  return dnnl_post_ops_append_eltwise(operations, 1, algorithm, alpha, beta);
}

// User-mode scratchpad, and the epilogue as post-operations.
static dnnl_status_t make_attributes(
    dnnl_primitive_attr_t *attributes, const thaw_dnnl_epilogue *epilogue, int count) {
  dnnl_post_ops_t operations = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(attributes);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (status == dnnl_success && count > 0) {
    status = dnnl_post_ops_create(&operations);
    for (int i = 0; status == dnnl_success && i < count; i++)
      status = append(operations, &epilogue[i]);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, operations);
    if (operations) dnnl_post_ops_destroy(operations);
  }
  if (status != dnnl_success) dnnl_primitive_attr_destroy(*attributes);
  return status;
}

// ---- Creation -----------------------------------------------------------------------------------

// Takes over `description`.
static int finish(thaw_dnnl_primitive **primitive, dnnl_primitive_desc_t description) {
  thaw_dnnl_primitive *made = calloc(1, sizeof *made);
  if (!made) {
    dnnl_primitive_desc_destroy(description);
    return dnnl_out_of_memory;
  }
  made->description = description;
  *primitive = made;
  return dnnl_success;
}

int thaw_dnnl_primitive_compile(const thaw_dnnl_primitive *primitive) {
  if (primitive->primitive) return dnnl_success;
  return dnnl_primitive_create(
      &((thaw_dnnl_primitive *)primitive)->primitive, primitive->description);
}

static int create(
    thaw_dnnl_primitive **primitive, const_dnnl_op_desc_t operation,
    const thaw_dnnl_epilogue *epilogue, int count) {
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attributes;
  dnnl_primitive_desc_t description;
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success) status = make_attributes(&attributes, epilogue, count);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_desc_create(&description, operation, attributes, engine, NULL);
  dnnl_primitive_attr_destroy(attributes);
  return status == dnnl_success ? finish(primitive, description) : status;
}

static const dnnl_memory_desc_t *optional(const thaw_dnnl_layout *layout) {
  return layout ? &layout->description : NULL;
}

// oneDNN 2.x counts dilation from 0.
static void zero_based(const int64_t dilation[2], dnnl_dims_t result) {
  result[0] = dilation[0] - 1;
  result[1] = dilation[1] - 1;
}

int thaw_dnnl_convolution(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *bias,
    const thaw_dnnl_layout *destination, const thaw_dnnl_window *window,
    const thaw_dnnl_epilogue *epilogue, int epilogue_count) {
  *primitive = NULL;
  dnnl_convolution_desc_t operation;
  dnnl_dims_t dilation = {0};
  zero_based(window->dilation, dilation);
  dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
      &operation, dnnl_forward_inference, dnnl_convolution_direct, &source->description,
      &weights->description, optional(bias), &destination->description, window->stride, dilation,
      window->before, window->after);
  if (status != dnnl_success) return status;
  return create(primitive, &operation, epilogue, epilogue_count);
}

// The forward description that backward primitives take as a hint.
static dnnl_status_t make_hint(
    dnnl_primitive_desc_t *hint, const thaw_dnnl_layout *source, const thaw_dnnl_layout *weights,
    const thaw_dnnl_layout *destination, const thaw_dnnl_window *window,
    const dnnl_dims_t dilation) {
  dnnl_convolution_desc_t operation;
  dnnl_engine_t engine;
  dnnl_status_t status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  status = dnnl_dilated_convolution_forward_desc_init(
      &operation, dnnl_forward_training, dnnl_convolution_direct, &source->description,
      &weights->description, NULL, &destination->description, window->stride, dilation,
      window->before, window->after);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(hint, &operation, NULL, engine, NULL);
}

int thaw_dnnl_convolution_backward(
    thaw_dnnl_primitive **primitive, bool of_weights, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *destination,
    const thaw_dnnl_window *window) {
  *primitive = NULL;
  dnnl_convolution_desc_t operation;
  dnnl_primitive_desc_t hint, description;
  dnnl_primitive_attr_t attributes;
  dnnl_engine_t engine;
  dnnl_dims_t dilation = {0};
  zero_based(window->dilation, dilation);
  dnnl_status_t status =
      of_weights
          ? dnnl_dilated_convolution_backward_weights_desc_init(
                &operation, dnnl_convolution_direct, &source->description, &weights->description,
                NULL, &destination->description, window->stride, dilation, window->before,
                window->after)
          : dnnl_dilated_convolution_backward_data_desc_init(
                &operation, dnnl_convolution_direct, &source->description, &weights->description,
                &destination->description, window->stride, dilation, window->before,
                window->after);
  if (status != dnnl_success) return status;
  status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  status = make_hint(&hint, source, weights, destination, window, dilation);
  if (status != dnnl_success) return status;
  status = make_attributes(&attributes, NULL, 0);
  if (status == dnnl_success) {
    status = dnnl_primitive_desc_create(&description, &operation, attributes, engine, hint);
    dnnl_primitive_attr_destroy(attributes);
  }
  dnnl_primitive_desc_destroy(hint);
  return status == dnnl_success ? finish(primitive, description) : status;
}

int thaw_dnnl_inner_product(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *weights, const thaw_dnnl_layout *bias,
    const thaw_dnnl_layout *destination, const thaw_dnnl_epilogue *epilogue, int epilogue_count) {
  *primitive = NULL;
  dnnl_inner_product_desc_t operation;
  dnnl_status_t status = dnnl_inner_product_forward_desc_init(
      &operation, dnnl_forward_inference, &source->description, &weights->description,
      optional(bias), &destination->description);
  if (status != dnnl_success) return status;
  return create(primitive, &operation, epilogue, epilogue_count);
}

int thaw_dnnl_pooling(
    thaw_dnnl_primitive **primitive, thaw_dnnl_pooling_kind kind, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination, const thaw_dnnl_window *window) {
  *primitive = NULL;
  static const dnnl_alg_kind_t algorithms[] = {
      dnnl_pooling_max, dnnl_pooling_avg_include_padding, dnnl_pooling_avg_exclude_padding};
  // The undilated descriptor reaches more of the optimised kernels.
  if (window->dilation[0] == 1 && window->dilation[1] == 1) {
    dnnl_pooling_desc_t operation;
    dnnl_status_t status = dnnl_pooling_forward_desc_init(
        &operation, dnnl_forward_inference, algorithms[kind], &source->description,
        &destination->description, window->stride, window->kernel, window->before, window->after);
    return status == dnnl_success ? create(primitive, &operation, NULL, 0) : status;
  }
  dnnl_pooling_v2_desc_t operation;
  dnnl_dims_t dilation = {0};
  zero_based(window->dilation, dilation);
  dnnl_status_t status = dnnl_pooling_v2_forward_desc_init(
      &operation, dnnl_forward_inference, algorithms[kind], &source->description,
      &destination->description, window->stride, window->kernel, dilation, window->before,
      window->after);
  return status == dnnl_success ? create(primitive, &operation, NULL, 0) : status;
}

int thaw_dnnl_activation(
    thaw_dnnl_primitive **primitive, thaw_dnnl_function function, const thaw_dnnl_layout *data) {
  *primitive = NULL;
  if (function > THAW_DNNL_UNIT_CLIP) return dnnl_invalid_arguments;
  float alpha, beta;
  dnnl_alg_kind_t algorithm = algorithm_of(function, &alpha, &beta);
  dnnl_eltwise_desc_t operation;
  dnnl_status_t status = dnnl_eltwise_forward_desc_init(
      &operation, dnnl_forward_inference, algorithm, &data->description, alpha, beta);
  return status == dnnl_success ? create(primitive, &operation, NULL, 0) : status;
}

int thaw_dnnl_binary(
    thaw_dnnl_primitive **primitive, bool multiplies, const thaw_dnnl_layout *first,
    const thaw_dnnl_layout *second, const thaw_dnnl_epilogue *epilogue, int epilogue_count) {
  *primitive = NULL;
  // Where the last block of channels is not full, the AVX2 kernel of oneDNN 2.6.3 clears the block before it
  // reads it: in place, with anything fused, its numbers are lost.
  const dnnl_memory_desc_t *data = &first->description;
  if (epilogue_count > 0 && data->ndims > 1 && data->padded_dims[1] != data->dims[1])
    return dnnl_unimplemented;
  dnnl_binary_desc_t operation;
  dnnl_status_t status = dnnl_binary_desc_init(
      &operation, multiplies ? dnnl_binary_mul : dnnl_binary_add, &first->description,
      &second->description, &first->description);
  return status == dnnl_success ? create(primitive, &operation, epilogue, epilogue_count) : status;
}

int thaw_dnnl_layer_normalization(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *data, float epsilon) {
  *primitive = NULL;
  dnnl_layer_normalization_desc_t operation;
  dnnl_status_t status = dnnl_layer_normalization_forward_desc_init(
      &operation, dnnl_forward_inference, &data->description, NULL, epsilon, dnnl_use_scaleshift);
  return status == dnnl_success ? create(primitive, &operation, NULL, 0) : status;
}

int thaw_dnnl_concatenation(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *const *sources, int count) {
  *primitive = NULL;
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attributes;
  dnnl_primitive_desc_t description;
  int status = thaw_dnnl_engine(&engine);
  if (status != dnnl_success) return status;
  dnnl_memory_desc_t *copies = calloc(count > 0 ? (size_t)count : 1, sizeof *copies);
  if (!copies) return dnnl_out_of_memory;
  for (int i = 0; i < count; i++) copies[i] = sources[i]->description;
  status = make_attributes(&attributes, NULL, 0);
  if (status == dnnl_success) {
    status = dnnl_concat_primitive_desc_create(
        &description, NULL, count, 1, copies, attributes, engine);
    dnnl_primitive_attr_destroy(attributes);
  }
  free(copies);
  return status == dnnl_success ? finish(primitive, description) : status;
}

int thaw_dnnl_reorder(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination) {
  return thaw_dnnl_scaled_reorder(primitive, source, destination, NULL, 0, 0, false);
}

int thaw_dnnl_scaled_reorder(
    thaw_dnnl_primitive **primitive, const thaw_dnnl_layout *source,
    const thaw_dnnl_layout *destination, const float *scales, int64_t count, int extents,
    bool accumulates) {
  *primitive = NULL;
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attributes;
  dnnl_primitive_desc_t description;
  static const thaw_dnnl_epilogue sum = {THAW_DNNL_ACCUMULATE, NULL};
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success) status = make_attributes(&attributes, &sum, accumulates ? 1 : 0);
  if (status != dnnl_success) return status;
  if (scales)
    status = dnnl_primitive_attr_set_output_scales(attributes, count, (1 << extents) - 1, scales);
  if (status != dnnl_success) {
    dnnl_primitive_attr_destroy(attributes);
    return status;
  }
  status = dnnl_reorder_primitive_desc_create(
      &description, &source->description, engine, &destination->description, engine, attributes);
  dnnl_primitive_attr_destroy(attributes);
  return status == dnnl_success ? finish(primitive, description) : status;
}

void thaw_dnnl_primitive_destroy(thaw_dnnl_primitive *primitive) {
  if (!primitive) return;
  if (primitive->primitive) dnnl_primitive_destroy(primitive->primitive);
  if (primitive->description) dnnl_primitive_desc_destroy(primitive->description);
  free(primitive);
}

// ---- Questions ----------------------------------------------------------------------------------

int thaw_dnnl_argument_index(int role) {
  if (role >= THAW_DNNL_EPILOGUE_SOURCE)
    return DNNL_ARG_ATTR_MULTIPLE_POST_OP(role - THAW_DNNL_EPILOGUE_SOURCE) | DNNL_ARG_SRC_1;
  if (role >= THAW_DNNL_CONCAT_SOURCE)
    return DNNL_ARG_MULTIPLE_SRC + role - THAW_DNNL_CONCAT_SOURCE;
  static const int indices[] = {DNNL_ARG_SRC_0,        DNNL_ARG_SRC_1,      DNNL_ARG_WEIGHTS,
                                DNNL_ARG_BIAS,         DNNL_ARG_DST,        DNNL_ARG_SCRATCHPAD,
                                DNNL_ARG_DIFF_SRC,     DNNL_ARG_DIFF_WEIGHTS,
                                DNNL_ARG_DIFF_DST};
  return indices[role];
}

int thaw_dnnl_primitive_layout(
    const thaw_dnnl_primitive *primitive, int role, thaw_dnnl_layout **layout) {
  *layout = NULL;
  const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(
      primitive->description, dnnl_query_exec_arg_md, thaw_dnnl_argument_index(role));
  if (!found) return dnnl_invalid_arguments;
  thaw_dnnl_layout *copy = malloc(sizeof *copy);
  if (!copy) return dnnl_out_of_memory;
  copy->description = *found;
  *layout = copy;
  return dnnl_success;
}

const char *thaw_dnnl_primitive_kernel(const thaw_dnnl_primitive *primitive) {
  const char *name = NULL;
  if (dnnl_primitive_desc_query(
          primitive->description, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success)
    return "unknown";
  return name;
}

int thaw_dnnl_run_reorder(
    const thaw_dnnl_primitive *primitive, const thaw_dnnl_layout *source, const void *from,
    const thaw_dnnl_layout *destination, void *to) {
  dnnl_engine_t engine;
  dnnl_stream_t stream = NULL;
  dnnl_memory_t input = NULL, output = NULL;
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success) status = thaw_dnnl_primitive_compile(primitive);
  if (status == dnnl_success)
    status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  if (status == dnnl_success)
    status = dnnl_memory_create(&input, &source->description, engine, (void *)from);
  if (status == dnnl_success)
    status = dnnl_memory_create(&output, &destination->description, engine, to);
  if (status == dnnl_success) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, input}, {DNNL_ARG_TO, output}};
    status = dnnl_primitive_execute(primitive->primitive, stream, 2, arguments);
  }
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  if (output) dnnl_memory_destroy(output);
  if (input) dnnl_memory_destroy(input);
  if (stream) dnnl_stream_destroy(stream);
  return status;
}
