// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where rank 0 of a job that mpirun launched listens for the others: MPI itself
// says nothing of a rank that hangs, so they need a connection of their own.
#pragma once

#include "runtime/collectives/Transport.h"
#include "runtime/ranks/RankEnvironment.h"
#include "runtime/ranks/Rendezvous.h"
#include <memory>

namespace grok::runtime {

struct LeaderAddress {
  std::vector<std::string> hosts; // to be tried in turn
  int port;
  Token token;
};

/// Starts MPI and has rank 0 tell everyone its addresses and `port`. Collective.
/// MPI's own start waits for every rank: if it has not come back at `end`, the
/// process says so in the name of `program` and ends with exit code 1.
Result<LeaderAddress> findLeaderByMpi(const RankEnvironment &environment, int port,
                                      std::unique_ptr<Transport> &transport,
                                      const std::string &program, Clock::time_point end);

} // namespace grok::runtime
