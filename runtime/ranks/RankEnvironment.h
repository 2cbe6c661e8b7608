// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which rank of how many a process is: from flags, or from what launched it.
#pragma once

#include "runtime/Result.h"
#include <functional>
#include <optional>

namespace grok::runtime {

/// Of a job.
inline constexpr int mostRanks = 4096;

/// --rank, --ranks, --leader. All optional.
struct RankFlags {
  std::optional<int> rank;
  std::optional<int> ranks;
  std::string leader; // host:port or host
};

struct RankEnvironment {
  static constexpr int defaultPort = 29400;

  int rank = 0;
  int ranks = 1;
  /// One process per rank; else all ranks are threads of this process.
  bool processes = false;
  /// Through MPI, which finds the leader itself.
  bool mpi = false;
  std::string leaderHost; // else where rank 0 listens
  int leaderPort = defaultPort;
};

/// Looks up a variable of the environment; null if it is not set.
using Variables = std::function<const char *(const char *)>;
const char *processVariable(const char *name);

/// Sources, the first that is there: mpirun (OMPI_COMM_WORLD_*, PMI_*), a Slurm
/// step (SLURM_*), a Kubernetes LeaderWorkerSet (LWS_*), an indexed job
/// (JOB_COMPLETION_INDEX, only with --leader). Flags complete it. Error: a
/// source is incomplete, or contradicts the flags.
Result<RankEnvironment> discoverRanks(const RankFlags &flags,
                                      const Variables &variables = processVariable);

} // namespace grok::runtime
