// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A rank's place among the ranks of a plan, and the groups it exchanges rows with.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/plan/plan_generated.h"
#include <vector>

namespace grok::runtime {

/// Indices along the axes of a plan's sharding: rank ((d * pp + p) * ep + e) * tp + t.
struct RankPlace {
  int tensor = 0;  // t: which part of heads, expert hidden size and vocabulary
  int expert = 0;  // e: which experts
  int stage = 0;   // p: which layers
  int replica = 0; // d

  static RankPlace of(const plan::Sharding &sharding, int rank);
  int rankIn(const plan::Sharding &sharding) const;
};

class RankLinks {
public:
  /// Collective: every rank of the job makes its own at the same time.
  static Result<RankLinks> create(const plan::Plan &plan, Communicator &communicator);

  Communicator &communicator() const { return *link; }
  /// The ranks that differ from this one only along `over` (tp, ep or both).
  Group &group(plan::Axis over) const;
  struct Entry {
    plan::Axis over;
    std::unique_ptr<Group> group;
  };
  const std::vector<Entry> &all() const { return groups; }
  /// Ranks at the same place in the stage before and after; -1 at the ends.
  int previous() const { return previousRank; }
  int next() const { return nextRank; }

private:
  explicit RankLinks(Communicator &communicator) : link(&communicator) {}
  Result<void> join(const plan::Sharding &sharding, const RankPlace &place, plan::Axis over,
                    uint64_t largestBytes);

  Communicator *link;
  std::vector<Entry> groups;
  int previousRank = -1, nextRank = -1;
};

} // namespace grok::runtime
