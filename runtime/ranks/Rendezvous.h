// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the ranks of a job find each other: all connect to rank 0, which compares
// what they are about to run and tells everyone who is where.
#pragma once

#include "runtime/ranks/ProcessIdentity.h"
#include "runtime/ranks/Stream.h"

namespace grok::runtime {

/// What all ranks must agree on. The plan names its weight files by their hashes.
struct JobIdentity {
  std::array<uint8_t, 32> planHash = {};
};

/// A rank as the others know it; plain bytes, sent as they are.
struct Member {
  int32_t rank;
  int32_t ranks;
  JobIdentity identity;
  uint64_t pageSize;
  ProcessIdentity process;
  std::array<char, 64> host;
  std::array<char, 64> address; // as rank 0 sees it
  int32_t port;                 // where it listens for other ranks; 0: nowhere
};

using Token = std::array<uint64_t, 2>; // one per job: no other job's ranks get in
Result<Token> makeToken();

struct Roster {
  Token token;
  std::vector<Member> members; // by rank
  /// Connections to rank 0; on rank 0 to each other rank, by rank.
  std::vector<Stream> control;

  std::string nameOf(int rank) const; // "rank 2 (host x)"
};

/// Rank 0's part. Error: who is missing at `end`, or differs.
Result<Roster> gatherRanks(const Listener &listener, const Member &own, const Token &token,
                           Clock::time_point end);
/// Another rank's: tries the hosts in turn until `end`.
Result<Roster> joinRanks(const std::vector<std::string> &hosts, int port, const Member &own,
                         const Token &token, Clock::time_point end);

/// Connects every pair of ranks once all know the roster. By rank.
Result<std::vector<int>> connectPairs(const Roster &roster, int rank, const Listener &listener,
                                      Clock::time_point end);
/// Tells whether all ranks have their pairs: before that, none is watched by
/// the others. `problem`: why this rank has not, or "". Collective; everyone
/// gets the same error.
Result<void> agreeOnPairs(const Roster &roster, int rank, const std::string &problem,
                          Clock::time_point end);

} // namespace grok::runtime
