// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Times of the parts of a step on one rank, and how layers are dealt to stages.
#pragma once

#include "passes/sharding/search/CostModel.h"

namespace grok::search {

/// Of one micro-batch on one rank.
struct StageTimes {
  Times first; // before the layers of the first stage
  Times layer; // on average, where layers differ
  Times last;  // after the layers of the last stage
  Times hops;  // all of them

  double stage(const std::vector<int64_t> &layers, size_t index) const;
  double longest(const std::vector<int64_t> &layers) const;
  /// Through all stages.
  Times through(int64_t layers) const;
};

StageTimes timeStages(const CostModel &costs, const Sharding &sharding, const WeightFormat &format,
                      const Step &step);

/// What lies on the ranks of a stage, whatever its layers.
struct StageMemory {
  double weightsOfLayer = 0, cacheOfLayer = 0;  // on average, where layers differ
  double weightsOfFirst = 0, weightsOfLast = 0; // besides the layers
  double weightsOfAll = 0;                      // on every stage
  double arena = 0, communicator = 0;
};

StageMemory measureStages(const CostModel &costs, const Sharding &sharding,
                          const WeightFormat &format);

/// On a rank of each stage.
std::vector<Memory> memoryOfStages(const StageMemory &memory, const std::vector<int64_t> &layers);
/// On the stage that needs most.
Memory fullestStage(const StageMemory &memory, const std::vector<int64_t> &layers);

/// Deals `layers` to `stages`, each at least one, so that the longest stage is
/// as short as it can be while no stage needs more than `available` bytes. Empty
/// if the memory does not allow that.
std::vector<int64_t> dealLayers(int64_t layers, int64_t stages, const StageTimes &times,
                                const StageMemory &memory, double available);

} // namespace grok::search
