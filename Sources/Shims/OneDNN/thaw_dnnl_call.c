// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "thaw_dnnl_internal.h"

struct thaw_dnnl_call {
  dnnl_primitive_t primitive;
  dnnl_stream_t stream;
  int count;
  void *addresses[THAW_DNNL_MOST_ARGUMENTS];
  dnnl_exec_arg_t arguments[THAW_DNNL_MOST_ARGUMENTS];
};

int thaw_dnnl_call_create(
    thaw_dnnl_call **call, const thaw_dnnl_primitive *primitive, const int *roles,
    const thaw_dnnl_layout *const *layouts, int count) {
  *call = NULL;
  dnnl_engine_t engine;
  int status = thaw_dnnl_engine(&engine);
  if (status == dnnl_success) status = thaw_dnnl_primitive_compile(primitive);
  if (status != dnnl_success) return status;
  if (count > THAW_DNNL_MOST_ARGUMENTS) return dnnl_invalid_arguments;
  thaw_dnnl_call *made = calloc(1, sizeof *made);
  if (!made) return dnnl_out_of_memory;
  made->primitive = primitive->primitive;
  status = dnnl_stream_create(&made->stream, engine, dnnl_stream_default_flags);
  for (int i = 0; status == dnnl_success && i < count; i++) {
    made->arguments[i].arg = thaw_dnnl_argument_index(roles[i]);
    status = dnnl_memory_create(
        &made->arguments[i].memory, &layouts[i]->description, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success) made->count++;
  }
  if (status != dnnl_success) {
    thaw_dnnl_call_destroy(made);
    return status;
  }
  *call = made;
  return dnnl_success;
}

int thaw_dnnl_call_run(thaw_dnnl_call *call, void *const *addresses) {
  for (int i = 0; i < call->count; i++) {
    // Setting an address also writes the zeros of padded layouts, so it is not done in vain.
    if (addresses[i] == call->addresses[i]) continue;
    call->addresses[i] = addresses[i];
    int status = dnnl_memory_set_data_handle_v2(
        call->arguments[i].memory, addresses[i], call->stream);
    if (status != dnnl_success) return status;
  }
  int status =
      dnnl_primitive_execute(call->primitive, call->stream, call->count, call->arguments);
  return status == dnnl_success ? dnnl_stream_wait(call->stream) : status;
}

void thaw_dnnl_call_destroy(thaw_dnnl_call *call) {
  if (!call) return;
  for (int i = 0; i < call->count; i++) dnnl_memory_destroy(call->arguments[i].memory);
  if (call->stream) dnnl_stream_destroy(call->stream);
  free(call);
}

int thaw_dnnl_multiply(
    bool transposes_a, bool transposes_b, int64_t m, int64_t n, int64_t k, float alpha,
    const float *a, int64_t a_stride, const float *b, int64_t b_stride, float beta, float *c,
    int64_t c_stride) {
  return dnnl_sgemm(
      transposes_a ? 'T' : 'N', transposes_b ? 'T' : 'N', m, n, k, alpha, a, a_stride, b, b_stride,
      beta, c, c_stride);
}
