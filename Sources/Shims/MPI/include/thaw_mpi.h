// SPDX-License-Identifier: Apache-2.0
//
// Messages between processes that an MPI launcher started.
//
// No program of Thaw is compiled against mpi.h or linked with libmpi, whose binary interface differs
// between Open MPI and MPICH. A plugin, `libthaw-mpi.so`, is compiled by the machine's own mpicc from
// plugin/thaw_mpi_plugin.c and loaded at run time; what it offers is this table.
#ifndef THAW_MPI_H
#define THAW_MPI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Number of this table's layout: a plugin built for another one is refused.
#define THAW_MPI_INTERFACE 1
/// Name of the function that fills the table.
#define THAW_MPI_ENTRY "thaw_mpi_entry"

/// What the plugin can do. Functions return 0, or MPI's error code; all are called from one thread.
typedef struct {
  /// Starts MPI and says which process of how many this is.
  int (*start)(int *rank, int *count);
  /// Ends MPI; waits for the others.
  int (*finish)(void);
  /// Ends all processes.
  void (*abort)(int code);
  /// Begins to send `bytes` bytes, which must stay until the message is sent; `message` is then its name.
  int (*send)(const void *data, int64_t bytes, int to, int tag, void **message);
  /// Begins to receive exactly `bytes` bytes.
  int (*receive)(void *data, int64_t bytes, int from, int tag, void **message);
  /// Whether a message is done; its name is invalid from then on.
  int (*test)(void *message, int *done);
  /// Whether a message with this tag is there from anybody, and from whom.
  int (*probe)(int tag, int *found, int *from);
  /// MPI's words for an error code; `text` has room for 512 bytes.
  void (*describe)(int code, char *text);
  /// Name and version of the library; `text` has room for 512 bytes.
  void (*library)(char *text);
} thaw_mpi_table;

/// How loading the plugin went.
typedef enum {
  THAW_MPI_LOADED = 0,
  /// The dynamic loader refused it; `reason` says why.
  THAW_MPI_UNLOADABLE = 1,
  /// It is no plugin of Thaw's, or of another version's.
  THAW_MPI_FOREIGN = 2
} thaw_mpi_loading;

/// Loads a plugin; `reason` has room for 512 bytes and is a text when loading fails.
thaw_mpi_loading thaw_mpi_load(const char *path, thaw_mpi_table *table, char *reason);

#ifdef __cplusplus
}
#endif

#endif
