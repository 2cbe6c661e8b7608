// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NCCL as far as we use it, declared here and found at run time: no header and
// no library of it are needed to build.
// Source: nccl.h of NCCL 2.17 and of 2.32; structures only ever grow at their end.
#pragma once

#include "runtime/Result.h"
#include <array>
#include <climits>
#include <cstddef>

namespace grok::runtime::nccl {

using Comm = void *;
using Stream = void *; // CUstream

struct UniqueId {
  std::array<char, 128> bytes;
};

// ncclResult_t
constexpr int success = 0;
constexpr int systemError = 2;
constexpr int internalError = 3;
constexpr int invalidArgument = 4;
constexpr int invalidUsage = 5;
constexpr int remoteError = 6;
constexpr int inProgress = 7;
// ncclDataType_t
constexpr int typeInt8 = 0;

/// ncclConfig_t of 2.17: later libraries take what it lacks from `version`.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef;
  unsigned version = 21700;
  int blocking = 0; // calls return at once, ncclInProgress until they are done
  int cgaClusterSize = INT_MIN;
  int minCTAs = INT_MIN;
  int maxCTAs = INT_MIN;
  const char *netName = nullptr;
};
static_assert(sizeof(Config) == 40);

struct Functions {
  int (*getVersion)(int *version);
  int (*getUniqueId)(UniqueId *id);
  int (*initRank)(Comm *comm, int ranks, UniqueId id, int rank, Config *config);
  int (*getAsyncError)(Comm comm, int *error);
  int (*groupStart)();
  int (*groupEnd)();
  int (*send)(const void *from, size_t count, int type, int peer, Comm comm, Stream stream);
  int (*receive)(void *to, size_t count, int type, int peer, Comm comm, Stream stream);
  int (*allGather)(const void *own, void *all, size_t count, int type, Comm comm, Stream stream);
  int (*abort)(Comm comm);
  int (*finalize)(Comm comm);
  int (*destroy)(Comm comm);
  const char *(*errorText)(int error);
  const char *(*lastError)(Comm comm);
};

/// Opens GROK_NCCL_LIBRARY, or libnccl.so.2; none if that is set to nothing. Error: one
/// line, also where it is older than 2.17.
Result<Functions> open();

/// Whether GROK_NCCL_LIBRARY names a library: then it is an error that it cannot be used.
bool isAskedFor();

} // namespace grok::runtime::nccl
