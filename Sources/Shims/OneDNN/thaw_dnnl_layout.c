// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "thaw_dnnl_internal.h"

const char *thaw_dnnl_status_text(int status) {
  switch ((dnnl_status_t)status) {
    case dnnl_success: return "success";
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_iterator_ends: return "no more implementations";
    case dnnl_runtime_error: return "runtime error";
    case dnnl_not_required: return "not required";
    default: return "unknown status";
  }
}

bool thaw_dnnl_is_unsupported(int status) { return status == dnnl_unimplemented; }

void thaw_dnnl_version(int version[3]) {
  const dnnl_version_t *found = dnnl_version();
  version[0] = found->major;
  version[1] = found->minor;
  version[2] = found->patch;
}

const char *thaw_dnnl_instructions(void) {
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "SSE 4.1";
    case dnnl_cpu_isa_avx: return "AVX";
    case dnnl_cpu_isa_avx2: return "AVX2";
    case dnnl_cpu_isa_avx2_vnni: return "AVX2 with VNNI";
    case dnnl_cpu_isa_avx512_core: return "AVX-512";
    case dnnl_cpu_isa_avx512_core_vnni: return "AVX-512 with VNNI";
    case dnnl_cpu_isa_avx512_core_bf16: return "AVX-512 with VNNI and bfloat16";
    case dnnl_cpu_isa_avx512_core_amx: return "AVX-512 with bfloat16 and AMX";
    default: return "other instructions";
  }
}

bool thaw_dnnl_has_bfloat16(void) {
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_avx512_core_bf16:
    case dnnl_cpu_isa_avx512_core_amx: return true;
    default: return false;
  }
}

static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static dnnl_engine_t shared_engine;
static dnnl_status_t engine_status;

static void make_engine(void) {
  engine_status = dnnl_engine_create(&shared_engine, dnnl_cpu, 0);
}

int thaw_dnnl_engine(dnnl_engine_t *engine) {
  pthread_once(&engine_once, make_engine);
  *engine = shared_engine;
  return engine_status;
}

static dnnl_format_tag_t tag_of(int rank, thaw_dnnl_order order) {
  static const dnnl_format_tag_t dense[] = {dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde};
  if (order == THAW_DNNL_ANY) return dnnl_format_tag_any;
  if (order == THAW_DNNL_CHANNELS_LAST) return rank == 4 ? dnnl_nhwc : dnnl_format_tag_undef;
  return dense[rank - 1];
}

static dnnl_data_type_t type_of(thaw_dnnl_element element) {
  return element == THAW_DNNL_BFLOAT16 ? dnnl_bf16 : dnnl_f32;
}

static int create(
    thaw_dnnl_layout **layout, const int64_t *extents, int rank, dnnl_format_tag_t tag,
    thaw_dnnl_element element) {
  if (tag == dnnl_format_tag_undef) return dnnl_invalid_arguments;
  thaw_dnnl_layout *made = malloc(sizeof *made);
  if (!made) return dnnl_out_of_memory;
  dnnl_dims_t dims = {0};
  for (int i = 0; i < rank; i++) dims[i] = extents[i];
  dnnl_status_t status =
      dnnl_memory_desc_init_by_tag(&made->description, rank, dims, type_of(element), tag);
  if (status != dnnl_success) {
    free(made);
    return status;
  }
  *layout = made;
  return dnnl_success;
}

int thaw_dnnl_layout_create(
    thaw_dnnl_layout **layout, const int64_t *extents, int rank, thaw_dnnl_order order,
    thaw_dnnl_element element) {
  *layout = NULL;
  if (rank < 1 || rank > 5) return dnnl_invalid_arguments;
  return create(layout, extents, rank, tag_of(rank, order), element);
}

int thaw_dnnl_layout_create_like(
    thaw_dnnl_layout **layout, const int64_t *extents, int rank, const thaw_dnnl_layout *like,
    thaw_dnnl_element element) {
  *layout = NULL;
  if (rank < 1 || rank > 5) return dnnl_invalid_arguments;
  dnnl_format_tag_t tag = tag_of(rank, THAW_DNNL_DENSE);
  if (rank == 4) {
    int64_t block = thaw_dnnl_layout_channel_block(like);
    if (block == 16) tag = dnnl_nChw16c;
    if (block == 8) tag = dnnl_nChw8c;
    if (block == 4) tag = dnnl_nChw4c;
  }
  return create(layout, extents, rank, tag, element);
}

int thaw_dnnl_layout_create_as(
    thaw_dnnl_layout **layout, const thaw_dnnl_layout *like, thaw_dnnl_element element) {
  thaw_dnnl_layout *made = malloc(sizeof *made);
  *layout = made;
  if (!made) return dnnl_out_of_memory;
  made->description = like->description;
  made->description.data_type = type_of(element);
  return dnnl_success;
}

thaw_dnnl_element thaw_dnnl_layout_element(const thaw_dnnl_layout *layout) {
  return layout->description.data_type == dnnl_bf16 ? THAW_DNNL_BFLOAT16 : THAW_DNNL_FLOAT32;
}

void thaw_dnnl_layout_destroy(thaw_dnnl_layout *layout) { free(layout); }

size_t thaw_dnnl_layout_bytes(const thaw_dnnl_layout *layout) {
  return dnnl_memory_desc_get_size(&layout->description);
}

bool thaw_dnnl_layout_equal(const thaw_dnnl_layout *left, const thaw_dnnl_layout *right) {
  return dnnl_memory_desc_equal(&left->description, &right->description) != 0;
}

bool thaw_dnnl_layout_is_dense(const thaw_dnnl_layout *layout) {
  const dnnl_memory_desc_t *found = &layout->description;
  if (found->format_kind != dnnl_blocked || found->extra.flags != 0) return false;
  const dnnl_blocking_desc_t *blocking = &found->format_desc.blocking;
  if (blocking->inner_nblks > 1 || (blocking->inner_nblks == 1 && blocking->inner_idxs[0] != 1))
    return false;
  int64_t block = blocking->inner_nblks == 1 ? blocking->inner_blks[0] : 1;
  int64_t expected = 1;
  for (int i = found->ndims - 1; i >= 0; i--) {
    if (found->padded_dims[i] != found->dims[i]) return false;
    // A block of channels is row major only where nothing lies inside the channels.
    if (block > 1 && i > 1 && found->dims[i] != 1) return false;
    int64_t stride = i == 1 ? expected * block : expected;
    int64_t steps = i == 1 ? found->dims[i] / block : found->dims[i];
    if (steps != 1 && blocking->strides[i] != stride) return false;
    expected *= found->dims[i];
  }
  return true;
}

int64_t thaw_dnnl_layout_channel_block(const thaw_dnnl_layout *layout) {
  const dnnl_memory_desc_t *found = &layout->description;
  const dnnl_blocking_desc_t *blocking = &found->format_desc.blocking;
  bool is_blocked = found->format_kind == dnnl_blocked && found->ndims == 4 &&
                    blocking->inner_nblks == 1 && blocking->inner_idxs[0] == 1;
  return is_blocked ? blocking->inner_blks[0] : 1;
}

enum { HUGE_PAGE = 2 << 20 };

void *thaw_dnnl_allocate(size_t bytes) {
  void *memory = NULL;
  size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
  size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (posix_memalign(&memory, alignment, rounded ? rounded : alignment) != 0) return NULL;
  if (bytes >= HUGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);  // advice: may be refused
  return memory;
}

void thaw_dnnl_free(void *memory) { free(memory); }

static size_t mapped_size(size_t bytes) {
  size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : 4096;
  return bytes ? (bytes + unit - 1) / unit * unit : unit;
}

void *thaw_dnnl_allocate_zeros(size_t bytes) {
  // What malloc gives may have been used before. Mapped memory is zero.
  size_t size = mapped_size(bytes), slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
  char *memory = mmap(
      NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  if (slack == 0) return memory;
  size_t before = (slack - (uintptr_t)memory % slack) % slack;
  if (before > 0) munmap(memory, before);
  if (before < slack) munmap(memory + before + size, slack - before);
  madvise(memory + before, size, MADV_HUGEPAGE);  // advice: may be refused
  return memory + before;
}

void thaw_dnnl_free_zeros(void *memory, size_t bytes) {
  if (memory) munmap(memory, mapped_size(bytes));
}
