// SPDX-License-Identifier: Apache-2.0
#include "thaw_mpi.h"

#include <dlfcn.h>
#include <stdio.h>

thaw_mpi_loading thaw_mpi_load(const char *path, thaw_mpi_table *table, char *reason) {
  // Global: Open MPI loads components of its own that look for its symbols.
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) {
    const char *text = dlerror();
    snprintf(reason, 512, "%s", text == NULL ? "unknown reason" : text);
    return THAW_MPI_UNLOADABLE;
  }
  int (*entry)(int, thaw_mpi_table *) =
      (int (*)(int, thaw_mpi_table *))dlsym(library, THAW_MPI_ENTRY);
  if (entry == NULL || entry(THAW_MPI_INTERFACE, table) != 0) {
    snprintf(reason, 512, "it was built for another version of Thaw");
    dlclose(library);
    return THAW_MPI_FOREIGN;
  }
  return THAW_MPI_LOADED;
}
