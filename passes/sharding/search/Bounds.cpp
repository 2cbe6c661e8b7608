// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Bounds.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/ExpertCoverage.h"
#include "passes/sharding/search/LayerParts.h"
#include "passes/sharding/search/StageTimes.h"

#include <algorithm>

namespace grok::search {

static int64_t mostReplicas(const CostModel &costs, const Sharding &family) {
  return std::max<int64_t>(1, costs.machine.devices() / family.ranks());
}

namespace {
/// Least time of one micro-batch through all stages.
class StepBound {
public:
  StepBound(const CostModel &costs, const Sharding &family, const WeightFormat &format)
      : costs(costs), local(costs.model, family), ops(local, format, costs.workload),
        parts(layerParts(costs.model, family, format)) {
    const Machine &machine = costs.machine;
    // Fewer ranks on a node, and fewer that are busy, never have less each.
    const int64_t onNode = std::min(family.ranks(), machine.devicesPerNode);
    const int64_t busy = std::max<int64_t>(1, onNode / family.pp);
    const auto leastOf = [&](const Rates &rates) {
      return std::min(rates.rank, rates.node / double(busy));
    };
    bandwidth = leastOf(machine.bandwidthOf(onNode, busy));
    peak = leastOf(machine.peakOf(format.name, onNode, busy));
    collectives = double(costs.model.layers) *
                  (cheapestReduce(family.tp) + cheapestReduce(family.tp * family.ep));
  }

  double seconds(Step step) const {
    const ModelShape &model = costs.model;
    double bytes = 0, flops = 0;
    const auto add = [&](const std::vector<OpCost> &costsOfOps, double count) {
      for (const OpCost &op : costsOfOps) {
        bytes += count * op.bytes();
        flops += count * op.flops;
      }
    };
    for (const LayerPart &part : parts) {
      // The group of ranks that reads most reads no less than the mean.
      const auto groups = double(part.expertGroups);
      step.distinctExperts =
          expectedDistinct(model.experts, model.selectedExperts, step.rows) / groups;
      step.pairs = double(step.rows * model.selectedExperts) / groups;
      add(OpCosts(part.local, part.format, costs.workload).layer(step),
          part.share * double(model.layers));
    }
    add(ops.head(step), 1);
    return std::max(bytes / bandwidth, flops / peak) + collectives;
  }

private:
  double cheapestReduce(int64_t ranks) const {
    if (ranks == 1)
      return 0;
    double least = infinity;
    for (int64_t nodes = 1; nodes <= std::min(ranks, costs.machine.nodes); ++nodes)
      least = std::min(least, costs.machine.allReduceSeconds(ranks, nodes, 1));
    return least;
  }

  const CostModel &costs;
  LocalShape local;
  OpCosts ops; // of the ends
  std::vector<LayerPart> parts;
  double bandwidth, peak, collectives;
};
} // namespace

/// Of a token of every sequence, in the best number of micro-batches.
static double boundToken(const CostModel &costs, const Sharding &family, const StepBound &bound) {
  double least = infinity;
  const int64_t most = mostReplicas(costs, family);
  const int64_t fewest = divideUp(costs.workload.batch, most);
  // A micro-batch of more sequences has no fewer rows in every case below.
  for (int64_t count : microBatchChoices(family.pp, costs.workload.batch)) {
    const int64_t rows = std::max<int64_t>(1, divideUp(fewest, count));
    const double through = bound.seconds({.rows = rows,
                                          .cacheReads = double(rows),
                                          .context = costs.workload.context,
                                          .logitRows = rows});
    least = std::min(least, std::max(through, double(count) * through / double(family.pp)));
  }
  return least;
}

double boundObjective(const CostModel &costs, const Sharding &family, const WeightFormat &format) {
  const Workload &workload = costs.workload;
  const StepBound bound(costs, family, format);
  const double token = workload.goal == Goal::firstToken ? 0 : boundToken(costs, family, bound);
  if (workload.goal == Goal::latency)
    return token;
  const int64_t chunks = std::max<int64_t>(1, divideUp(workload.prompt, workload.stepRows));
  const double chunk =
      bound.seconds({.rows = std::max<int64_t>(1, divideUp(workload.prompt, chunks)),
                     .cacheReads = 1,
                     .context = workload.prompt / 2});
  const auto stages = double(family.pp);
  if (workload.goal == Goal::firstToken)
    return chunk * (1 + double(chunks - 1) / stages);
  const double sequences = double(divideUp(workload.batch, mostReplicas(costs, family)));
  const double busy =
      sequences * double(chunks) * chunk / stages + double(workload.newTokens) * token;
  return busy / double(workload.batch * workload.newTokens);
}

double boundMemory(const CostModel &costs, const Sharding &family, const WeightFormat &format) {
  Sharding spread = family;
  spread.dp = mostReplicas(costs, family);
  const StageMemory memory = measureStages(costs, spread, format);
  const double ofMean = double(costs.model.layers) / double(family.pp) *
                        (memory.weightsOfLayer + memory.cacheOfLayer);
  const double ofEnds = (memory.weightsOfFirst + memory.weightsOfLast) / double(family.pp);
  const double communicator = family.ranks() > 1 ? memory.communicator : 0;
  return ofMean + ofEnds + memory.weightsOfAll + memory.arena + communicator;
}

} // namespace grok::search
