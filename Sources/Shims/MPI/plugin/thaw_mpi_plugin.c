// SPDX-License-Identifier: Apache-2.0
//
// The only file that knows MPI: point-to-point messages, no collectives. `make setup-mpi` compiles it
// with the machine's mpicc into libthaw-mpi.so. Collectives are Thaw's own (Sources/Ranks), because the
// order of additions must not depend on the library or on the number of processes.
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thaw_mpi.h"

static int start(int *rank, int *count) {
  int provided = 0;
  int status = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  if (status != MPI_SUCCESS) return status;
  // Errors come back as codes, with which the caller can name the other side.
  status = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (status == MPI_SUCCESS) status = MPI_Comm_rank(MPI_COMM_WORLD, rank);
  if (status == MPI_SUCCESS) status = MPI_Comm_size(MPI_COMM_WORLD, count);
  return status;
}

static int finish(void) { return MPI_Finalize(); }

static void stop(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

static int begin(
    int is_send, void *data, int64_t bytes, int other, int tag, void **message) {
  if (bytes < 0 || bytes > INT32_MAX) return MPI_ERR_COUNT;
  MPI_Request *request = malloc(sizeof(MPI_Request));
  if (request == NULL) return MPI_ERR_NO_MEM;
  int status = is_send
      ? MPI_Isend(data, (int)bytes, MPI_BYTE, other, tag, MPI_COMM_WORLD, request)
      : MPI_Irecv(data, (int)bytes, MPI_BYTE, other, tag, MPI_COMM_WORLD, request);
  if (status != MPI_SUCCESS) {
    free(request);
    return status;
  }
  *message = request;
  return MPI_SUCCESS;
}

static int send_bytes(const void *data, int64_t bytes, int to, int tag, void **message) {
  return begin(1, (void *)data, bytes, to, tag, message);
}

static int receive(void *data, int64_t bytes, int from, int tag, void **message) {
  return begin(0, data, bytes, from, tag, message);
}

static int test(void *message, int *done) {
  MPI_Status unused;
  int status = MPI_Test(message, done, &unused);
  if (status != MPI_SUCCESS || *done) free(message);
  return status;
}

static int probe(int tag, int *found, int *from) {
  MPI_Status status;
  int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, found, &status);
  if (code == MPI_SUCCESS && *found) *from = status.MPI_SOURCE;
  return code;
}

static void describe(int code, char *text) {
  char words[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, words, &length);
  snprintf(text, 512, "%.*s", length, words);
}

static void library(char *text) {
  char words[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(words, &length);
  snprintf(text, 512, "%.*s", length, words);
  // Open MPI's first item is its name and version, MPICH's lines are its whole configuration.
  text[strcspn(text, ",\n")] = 0;
  for (char *tab = text; (tab = strchr(tab, '\t')) != NULL;) *tab = ' ';
}

__attribute__((visibility("default"))) int thaw_mpi_entry(int version, thaw_mpi_table *table) {
  if (version != THAW_MPI_INTERFACE) return 1;
  *table = (thaw_mpi_table){start, finish, stop, send_bytes, receive, test, probe, describe, library};
  return 0;
}
