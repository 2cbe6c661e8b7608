// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/StageTimes.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/LayerParts.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace grok::search {

/// Kernels of a layer that do not end in a collective's own kernel: projections,
/// attention, output, route, gate and up, down.
static constexpr double launchesOfLayer = 6;
/// Residual and norms run inside the collective before them, if there is one.
static constexpr double normsOfLayer = 2;
static constexpr double launchesOfHead = 2;
/// Positions of a cache page, grokc's default.
static constexpr int64_t pageTokens = 32;

static Term termOf(std::string_view op) {
  if (op == "grok.embed" || op == "grok.unembed" || op == "grok.logit_rows")
    return Term::table;
  if (op == "grok.fused_residual_norm")
    return Term::norms;
  if (op == "grok.route" || op == "grok.fused_gate_up" || op == "grok.fused_down_combine")
    return Term::experts;
  return Term::attention;
}

namespace {
/// Adds up the time of ops and collectives on one rank.
class Clock {
public:
  Clock(const CostModel &costs, const Sharding &sharding, const WeightFormat &format,
        int64_t busyStages)
      : machine(costs.machine), sharding(sharding) {
    const int64_t onNode = std::min(sharding.ranks(), machine.devicesPerNode);
    busy = std::max<int64_t>(1, onNode * busyStages / sharding.pp);
    bandwidth = machine.bandwidthOf(onNode, busy);
    peak = machine.peakOf(format.name, onNode, busy);
  }

  /// `mean` has the same ops on the average rank.
  void addOps(Times &times, const std::vector<OpCost> &most,
              const std::vector<OpCost> &mean) const {
    for (size_t i = 0; i < most.size(); ++i) {
      const double reading = bandwidth.secondsFor(most[i].bytes(), double(busy) * mean[i].bytes());
      const double computing = peak.secondsFor(most[i].flops, double(busy) * mean[i].flops);
      times[termOf(most[i].op)] += std::max(reading, computing);
      (reading >= computing ? times.reading : times.computing) += std::max(reading, computing);
    }
  }
  /// Every rank has as much to do.
  void addOps(Times &times, const std::vector<OpCost> &ops) const { addOps(times, ops, ops); }
  void addReduce(Times &times, int64_t ranks, double bytes) const {
    times[Term::collectives] +=
        machine.allReduceSeconds(ranks, nodesSpanned(sharding, ranks, machine), bytes);
  }
  void addLaunches(Times &times, double count) const {
    times[Term::launches] += count * machine.launchSeconds;
  }

private:
  const Machine &machine;
  const Sharding &sharding;
  int64_t busy;
  Rates bandwidth, peak;
};
} // namespace

static Times timeHops(const CostModel &costs, const Sharding &sharding, double bytes) {
  const auto across = double(hopsAcross(sharding, costs.machine));
  Times hops;
  hops[Term::hops] = across * costs.machine.across.secondsFor(bytes) +
                     (double(sharding.pp - 1) - across) * costs.machine.inside.secondsFor(bytes);
  return hops;
}

/// The ops of the average layer.
static Times timeLayer(const CostModel &costs, const Sharding &sharding, const WeightFormat &format,
                       const Step &given, const Clock &clock) {
  Times times;
  for (const LayerPart &part : layerParts(costs.model, sharding, format)) {
    const OpCosts ops(part.local, part.format, costs.workload);
    Step step = given, mean = given;
    const auto groups = double(part.expertGroups);
    step.distinctExperts = costs.mostDistinctExperts(step.rows, part.expertGroups);
    step.pairs = costs.mostPairs(step.rows, part.expertGroups);
    mean.distinctExperts = costs.mostDistinctExperts(step.rows, 1) / groups;
    mean.pairs = costs.mostPairs(step.rows, 1) / groups;
    Times ofPart;
    clock.addOps(ofPart, ops.layer(step), ops.layer(mean));
    times.add(ofPart, part.share);
  }
  return times;
}

StageTimes timeStages(const CostModel &costs, const Sharding &sharding, const WeightFormat &format,
                      const Step &step) {
  const ModelShape &model = costs.model;
  const LocalShape local(model, sharding);
  const OpCosts ops(local, format, costs.workload);
  const Clock clock(costs, sharding, format, step.busyStages);
  const double message = double(step.rows * model.width * costs.workload.activationBytes);
  const int64_t group = sharding.tp * sharding.ep;

  StageTimes times;
  clock.addOps(times.first, ops.embed(step));
  clock.addOps(times.first, {ops.firstNorm(step)});
  clock.addLaunches(times.first, 1);
  clock.addReduce(times.first, sharding.tp, message);
  times.layer = timeLayer(costs, sharding, format, step, clock);
  clock.addLaunches(times.layer, launchesOfLayer + (sharding.tp == 1 ? 1 : 0) +
                                     (group == 1 ? normsOfLayer - 1 : 0));
  clock.addReduce(times.layer, sharding.tp, message);
  clock.addReduce(times.layer, group,
                  message * (costs.workload.isReproducible ? double(model.selectedExperts) : 1));
  clock.addOps(times.last, ops.head(step));
  clock.addLaunches(times.last, launchesOfHead);
  const double logits = local.tokens * double(step.logitRows * costs.workload.activationBytes);
  times.last[Term::collectives] += costs.machine.allGatherSeconds(
      sharding.tp, nodesSpanned(sharding, sharding.tp, costs.machine), logits);
  times.hops = timeHops(costs, sharding, message);
  return times;
}

double StageTimes::stage(const std::vector<int64_t> &layers, size_t index) const {
  return double(layers[index]) * layer.total() + (index == 0 ? first.total() : 0) +
         (index + 1 == layers.size() ? last.total() : 0);
}

double StageTimes::longest(const std::vector<int64_t> &layers) const {
  double most = 0;
  for (size_t i = 0; i < layers.size(); ++i)
    most = std::max(most, stage(layers, i));
  // A stage sends each micro-batch on before it begins the next one.
  return most + (layers.size() > 1 ? hops.total() / double(layers.size() - 1) : 0);
}

Times StageTimes::through(int64_t layers) const {
  Times all = first;
  all.add(layer, double(layers));
  all.add(last);
  all.add(hops);
  return all;
}

StageMemory measureStages(const CostModel &costs, const Sharding &sharding,
                          const WeightFormat &format) {
  const Workload &workload = costs.workload;
  const LocalShape local(costs.model, sharding);
  const OpCosts ops(local, format, workload);
  const auto width = double(costs.model.width), rows = double(workload.stepRows);
  const int64_t sequences = divideUp(workload.batch, sharding.dp);
  const int64_t positions = divideUp(workload.context, pageTokens) * pageTokens;

  StageMemory memory;
  double hidden = 0; // of a row and expert, where it is widest
  for (const LayerPart &part : layerParts(costs.model, sharding, format)) {
    memory.weightsOfLayer +=
        part.share * OpCosts(part.local, part.format, workload).layerWeightBytes();
    hidden = std::max(hidden, part.local.hidden);
  }
  memory.cacheOfLayer = double(sequences * positions) * ops.cacheRowBytes();
  // Sines and cosines of every position.
  memory.weightsOfAll = double(workload.context * costs.model.headSize) * 4;
  memory.weightsOfFirst = ops.tableBytes() + 4 * width; // with the first norm
  // One table serves both ends where they are on the same rank.
  memory.weightsOfLast = sharding.pp > 1 ? ops.tableBytes() : 0;
  // Residual, norm and the experts' hidden rows live at once; what a collective
  // adds up is beside them. Logits are of every row, first in parts if there are.
  const double partial = sharding.tp * sharding.ep > 1 ? width : 0;
  const double logits = double(costs.model.vocabulary) + (sharding.tp > 1 ? local.tokens : 0);
  memory.arena = rows * double(workload.activationBytes) *
                 (2 * width + partial + double(costs.model.selectedExperts) * hidden + logits);
  memory.communicator = sharding.ranks() > 1 ? costs.machine.communicatorBytes : 0;
  return memory;
}

namespace {
/// What one stage would be with some layers.
struct StageSizes {
  double ofLayer, besides;
  double with(int64_t layers) const { return double(layers) * ofLayer + besides; }
};
} // namespace

std::vector<int64_t> dealLayers(int64_t layers, int64_t stages, const StageTimes &times,
                                const StageMemory &memory, double available) {
  std::vector<StageSizes> seconds(size_t(stages), {times.layer.total(), 0});
  seconds.front().besides += times.first.total();
  seconds.back().besides += times.last.total();
  std::vector<StageSizes> bytes(size_t(stages),
                                {memory.weightsOfLayer + memory.cacheOfLayer,
                                 memory.weightsOfAll + memory.arena + memory.communicator});
  bytes.front().besides += memory.weightsOfFirst;
  bytes.back().besides += memory.weightsOfLast;

  // Layers are alike, so giving each to the stage that is then the shortest
  // leaves the least longest stage (an exchange argument); first stages first.
  using Offer = std::pair<double, size_t>; // seconds with one more layer, stage
  std::priority_queue<Offer, std::vector<Offer>, std::greater<>> offers;
  std::vector<int64_t> dealt(size_t(stages), 0);
  const auto offer = [&](size_t stage) {
    if (bytes[stage].with(dealt[stage] + 1) <= available)
      // Nothing before every stage has a layer.
      offers.emplace(dealt[stage] == 0 ? -1 : seconds[stage].with(dealt[stage] + 1), stage);
  };
  for (size_t stage = 0; stage < dealt.size(); ++stage)
    offer(stage);
  if (offers.size() < dealt.size()) // a stage cannot hold even one
    return {};
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (offers.empty())
      return {};
    const size_t stage = offers.top().second;
    offers.pop();
    ++dealt[stage];
    offer(stage);
  }
  return dealt;
}

std::vector<Memory> memoryOfStages(const StageMemory &memory, const std::vector<int64_t> &layers) {
  std::vector<Memory> stages;
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool isFirst = i == 0, isLast = i + 1 == layers.size();
    stages.push_back({.weights = double(layers[i]) * memory.weightsOfLayer + memory.weightsOfAll +
                                 (isFirst ? memory.weightsOfFirst : 0) +
                                 (isLast ? memory.weightsOfLast : 0),
                      .cache = double(layers[i]) * memory.cacheOfLayer,
                      .arena = memory.arena,
                      .communicator = memory.communicator});
  }
  return stages;
}

Memory fullestStage(const StageMemory &memory, const std::vector<int64_t> &layers) {
  const std::vector<Memory> stages = memoryOfStages(memory, layers);
  return *std::ranges::max_element(stages, {}, &Memory::total);
}

} // namespace grok::search
