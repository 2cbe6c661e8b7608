// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Checks a certificate by trying every plan: slower, and without the bounds and
// rules by which the search leaves plans out.
#pragma once

#include "passes/sharding/search/Certificate.h"

namespace grok::search {

/// What a certificate says, without what can be computed again.
struct Claim {
  ModelShape model;
  std::string machine, machineDigest;
  Workload workload;
  Limits limits; // with formats
  /// The best plans, the choice first.
  struct RankedPlan {
    std::string sharding, weights;
    double objective = 0;
  };
  std::vector<RankedPlan> ranked;
  std::vector<PrunedFamily> pruned;
  std::vector<Interval> intervals;
};

struct CheckCounts {
  int64_t plans = 0; // tried at the machine's numbers
  int64_t families = 0, intervals = 0;
};

/// Fails with the first thing that does not hold.
Result<CheckCounts> checkClaim(const Claim &claim, const Machine &machine);

} // namespace grok::search
