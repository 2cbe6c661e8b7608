// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The border to MPI: libgrok-mpi.so is built against one MPI's mpi.h and opened
// at run time, so that everything else needs no MPI to build or run.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bumped when the table changes.
#define GROK_MPI_VERSION 1

/// Each function returns 0, or a code for describe(). None blocks but start and
/// finish. One thread at a time.
typedef struct grok_mpi_functions {
  uint32_t version;
  /// Once per process: MPI_Init_thread, and a communicator of our own.
  int (*start)(int *rank, int *ranks);
  int (*send)(const void *data, uint64_t bytes, int peer, int tag, void **request);
  int (*receive)(void *data, uint64_t bytes, int peer, int tag, void **request);
  /// If done, the request is gone and `bytes` is what a receive got.
  int (*test)(void *request, int *done, uint64_t *bytes);
  /// MPI_Finalize: collective, after the last request.
  int (*finish)(void);
  /// One line about a code.
  void (*describe)(int code, char *text, int size);
} grok_mpi_functions;

/// What the library exports: "grok_mpi".
typedef const grok_mpi_functions *(*grok_mpi_function)(void);
const grok_mpi_functions *grok_mpi(void);

#ifdef __cplusplus
}
#endif
