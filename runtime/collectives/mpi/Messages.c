// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/mpi/Messages.h"
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

// Not MPI's codes, which are positive.
enum { tooLarge = -1, noMemory = -2, noThreads = -3 };

static MPI_Comm ours = MPI_COMM_NULL;

static int start(int *rank, int *ranks) {
  int provided = 0, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
  if (code != MPI_SUCCESS)
    return code;
  if (provided < MPI_THREAD_SERIALIZED)
    return noThreads;
  if ((code = MPI_Comm_dup(MPI_COMM_WORLD, &ours)) != MPI_SUCCESS ||
      (code = MPI_Comm_set_errhandler(ours, MPI_ERRORS_RETURN)) != MPI_SUCCESS ||
      (code = MPI_Comm_rank(ours, rank)) != MPI_SUCCESS)
    return code;
  return MPI_Comm_size(ours, ranks);
}

static int newRequest(uint64_t bytes, MPI_Request **made, void **request) {
  if (bytes > INT_MAX)
    return tooLarge;
  *made = malloc(sizeof(MPI_Request));
  *request = *made;
  return *made ? MPI_SUCCESS : noMemory;
}

static int sendMessage(const void *data, uint64_t bytes, int peer, int tag, void **request) {
  MPI_Request *made = NULL;
  const int code = newRequest(bytes, &made, request);
  if (code != MPI_SUCCESS)
    return code;
  return MPI_Isend(data, (int)bytes, MPI_BYTE, peer, tag, ours, made);
}

static int receiveMessage(void *data, uint64_t bytes, int peer, int tag, void **request) {
  MPI_Request *made = NULL;
  const int code = newRequest(bytes, &made, request);
  if (code != MPI_SUCCESS)
    return code;
  return MPI_Irecv(data, (int)bytes, MPI_BYTE, peer, tag, ours, made);
}

static int testMessage(void *request, int *done, uint64_t *bytes) {
  MPI_Status status;
  int count = 0, code = MPI_Test(request, done, &status);
  if (code != MPI_SUCCESS || !*done)
    return code;
  code = MPI_Get_count(&status, MPI_BYTE, &count);
  *bytes = count == MPI_UNDEFINED ? 0 : (uint64_t)count;
  free(request);
  return code;
}

static int finish(void) {
  const int code = MPI_Comm_free(&ours);
  return code != MPI_SUCCESS ? code : MPI_Finalize();
}

static void describe(int code, char *text, int size) {
  char words[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  if (code == tooLarge)
    snprintf(text, (size_t)size, "a message of 2 GiB or more");
  else if (code == noMemory)
    snprintf(text, (size_t)size, "out of memory");
  else if (code == noThreads)
    snprintf(text, (size_t)size, "this MPI is built without thread support");
  else {
    MPI_Error_string(code, words, &length);
    snprintf(text, (size_t)size, "%s", words);
  }
}

const grok_mpi_functions *grok_mpi(void) {
  static const grok_mpi_functions functions = {
      GROK_MPI_VERSION, start, sendMessage, receiveMessage, testMessage, finish, describe};
  return &functions;
}
