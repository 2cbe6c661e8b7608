// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Finds the best way to run a model on a machine, within the cost model.
#pragma once

#include "passes/sharding/search/CostModel.h"

#include <optional>

namespace grok::search {

struct Limits {
  /// Ways to store the weights to choose from; empty = the one with most bits,
  /// of int8, int4, mixes of int4 and int3, and int3, that fits.
  std::vector<WeightFormat> formats;
  /// Sizes that are given; 0 = free.
  int64_t tp = 0, ep = 0, pp = 0, dp = 0;
  /// Layers of which ep too splits the hidden columns; nothing = free.
  std::optional<std::vector<int64_t>> hiddenLayers;
  /// Only plans with a rank on every device, and with a sequence for every replica.
  bool usesAllDevices = false;
  double memoryBudget = 0; // bytes on a rank; 0 = what the machine has
  size_t top = 10;         // plans to rank
};

/// All plans of one format, tp, ep, pp and hidden layers, of which none can be among
/// the best.
struct PrunedFamily {
  std::string format;
  Sharding sharding;         // dp = 1
  double bound = 0;          // no plan's objective is less, whether it fits or not
  double leastBytes = 0;     // on the fullest rank, at the least
  const char *rule = "time"; // or "memory"
};

struct RankedPlans {
  std::vector<Plan> plans; // that fit, the best first
  std::vector<PrunedFamily> pruned;
  int64_t evaluated = 0; // plans
  /// If none fits: the plan that needs least memory on a rank.
  std::optional<Plan> smallest;
};

/// Ranks the plans for `workload.goal`. Ties: fewer ranks, then by name. Fails
/// if the model cannot be split as the limits ask; if no plan fits, `plans` is
/// empty.
Result<RankedPlans> searchShardings(const ModelShape &model, const Machine &machine,
                                    const Workload &workload, const Limits &limits);

/// Whether a size is the one that is given, or free.
constexpr bool isWanted(int64_t given, int64_t size) { return given == 0 || given == size; }

/// Whether a plan may have these sizes and hidden layers.
bool isAllowed(const Sharding &sharding, const Limits &limits, const Workload &workload,
               const Machine &machine);

/// Whether `left` ranks before `right`.
bool ranksBefore(const Plan &left, const Plan &right);

} // namespace grok::search
