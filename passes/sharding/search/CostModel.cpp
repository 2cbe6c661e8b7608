// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/CostModel.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/ExpertCoverage.h"
#include "passes/sharding/search/StageTimes.h"

#include <algorithm>

namespace grok::search {

const char *nameOf(Term term) {
  constexpr std::array<const char *, numTerms> names = {
      "attention", "experts", "norms", "table", "collectives", "hops", "launches", "waiting"};
  return names[static_cast<size_t>(term)];
}

double Times::total() const {
  double sum = 0;
  for (double seconds : terms)
    sum += seconds;
  return sum;
}

void Times::add(const Times &other, double count) {
  for (size_t i = 0; i < numTerms; ++i)
    terms[i] += count * other.terms[i];
  reading += count * other.reading;
  computing += count * other.computing;
}

std::string Plan::boundBy() const {
  const std::array<std::pair<double, const char *>, 5> shares = {
      {{token.reading, "memory bandwidth"},
       {token.computing, "arithmetic"},
       {token[Term::collectives] + token[Term::hops], "collectives"},
       {token[Term::launches], "launch gaps"},
       {token[Term::waiting], "stage imbalance"}}};
  return std::ranges::max_element(shares, {}, &std::pair<double, const char *>::first)->second;
}

std::vector<int64_t> microBatchChoices(int64_t stages, int64_t batch) {
  std::vector<int64_t> choices = {1};
  if (stages == 1)
    return choices;
  // Beyond some times the stages, smaller micro-batches only read more.
  const int64_t most = std::min(batch, 4 * stages);
  for (int64_t count = 2; count <= most; count *= 2)
    choices.push_back(count);
  if (stages <= most && !std::ranges::count(choices, stages))
    choices.push_back(stages);
  return choices;
}

namespace {
/// The steps of one plan.
struct Schedule {
  int64_t sequences = 1; // of a replica
  int64_t microBatches = 1;
  int64_t chunks = 1; // of a prompt
  StageTimes decode, prefill;

  double tokenSeconds(const std::vector<int64_t> &layers, double through) const {
    return std::max(through, double(microBatches) * decode.longest(layers));
  }
};
} // namespace

/// Prompts are left out where only the objective counts and they are no part of it.
static Schedule makeSchedule(const CostModel &costs, const Sharding &sharding,
                             const WeightFormat &format, int64_t microBatches, bool needsPrompts) {
  const Workload &workload = costs.workload;
  Schedule schedule;
  schedule.sequences = divideUp(workload.batch, sharding.dp);
  schedule.microBatches = microBatches;
  const int64_t rows = divideUp(schedule.sequences, microBatches);
  Step decode{
      .rows = rows, .cacheReads = double(rows), .context = workload.context, .logitRows = rows};
  decode.busyStages = std::min(microBatches, sharding.pp);
  schedule.decode = timeStages(costs, sharding, format, decode);
  if (!needsPrompts)
    return schedule;
  schedule.chunks = std::max<int64_t>(1, divideUp(workload.prompt, workload.stepRows));
  Step chunk{.rows = std::max<int64_t>(1, divideUp(workload.prompt, schedule.chunks)),
             .cacheReads = 1,
             .context = workload.prompt / 2};
  // One request on its own; of many, all stages work on some.
  chunk.busyStages =
      workload.goal == Goal::throughput ? sharding.pp : std::min(schedule.chunks, sharding.pp);
  schedule.prefill = timeStages(costs, sharding, format, chunk);
  return schedule;
}

/// Fills in what depends on the layers of each stage.
static void finishPlan(Plan &plan, const CostModel &costs, const Schedule &schedule) {
  const Workload &workload = costs.workload;
  const std::vector<int64_t> &layers = plan.sharding.stageLayers;
  plan.token = schedule.decode.through(costs.model.layers);
  plan.tokenSeconds = schedule.tokenSeconds(layers, plan.token.total());
  plan.token[Term::waiting] = std::max(0.0, plan.tokenSeconds - plan.token.total());
  plan.tokensPerSecond = double(workload.batch) / plan.tokenSeconds;
  const double longest = schedule.prefill.longest(layers);
  plan.firstTokenSeconds =
      schedule.prefill.through(costs.model.layers).total() + double(schedule.chunks - 1) * longest;
  const double busy = double(schedule.sequences * schedule.chunks) * longest +
                      double(workload.newTokens) * plan.tokenSeconds;
  plan.servedPerSecond = double(workload.batch * workload.newTokens) / busy;
  plan.objective = workload.goal == Goal::latency      ? plan.tokenSeconds
                   : workload.goal == Goal::throughput ? 1 / plan.servedPerSecond
                                                       : plan.firstTokenSeconds;
}

/// The layers of each stage that are worth a look: those given, or the best for
/// decoding and for prompts, which need not be the same.
static std::vector<std::vector<int64_t>> dealsOf(const Plan &plan, const CostModel &costs,
                                                 const Schedule &schedule,
                                                 const StageMemory &memory) {
  std::vector<std::vector<int64_t>> deals;
  if (!plan.sharding.stageLayers.empty())
    return {plan.sharding.stageLayers};
  std::vector<const StageTimes *> balances = {&schedule.decode};
  if (plan.sharding.pp > 1 && schedule.prefill.layer.total() > 0)
    balances.push_back(&schedule.prefill);
  for (double available : {plan.availableBytes, infinity}) {
    for (const StageTimes *times : balances)
      if (auto deal = dealLayers(costs.model.layers, plan.sharding.pp, *times, memory, available);
          !deal.empty())
        deals.push_back(std::move(deal));
    if (!deals.empty())
      break;
  }
  return deals;
}

double CostModel::objectiveOf(const Sharding &sharding, const WeightFormat &format,
                              int64_t microBatches) const {
  return evaluate(sharding, format, microBatches, workload.goal != Goal::latency).objective;
}

Plan CostModel::evaluate(const Sharding &sharding, const WeightFormat &format, int64_t microBatches,
                         bool needsPrompts) const {
  const Schedule schedule = makeSchedule(*this, sharding, format, microBatches, needsPrompts);
  const StageMemory memory = measureStages(*this, sharding, format);
  Plan plan;
  plan.sharding = sharding;
  plan.format = format;
  plan.microBatches = microBatches;
  const int64_t onNode = std::min(sharding.ranks(), machine.devicesPerNode);
  plan.availableBytes = machine.rankMemory(onNode);

  Plan best;
  best.objective = infinity;
  for (std::vector<int64_t> &deal : dealsOf(plan, *this, schedule, memory)) {
    plan.sharding.stageLayers = std::move(deal);
    plan.memory = fullestStage(memory, plan.sharding.stageLayers);
    finishPlan(plan, *this, schedule);
    if (plan.objective < best.objective)
      best = plan;
  }
  return best;
}

double CostModel::mostDistinctExperts(int64_t rows, int64_t groups) const {
  const auto [entry, isNew] = distinct.try_emplace({rows, groups}, 0);
  if (isNew)
    entry->second = expectedMostDistinct(model.experts, model.selectedExperts, rows, groups);
  return entry->second;
}

double CostModel::mostPairs(int64_t rows, int64_t groups) const {
  const auto [entry, isNew] = pairs.try_emplace({rows, groups}, 0);
  if (isNew)
    entry->second = expectedMostPairs(model.experts, model.selectedExperts, rows, groups);
  return entry->second;
}

double CostModel::roofSeconds(const WeightFormat &format) const {
  const Sharding whole;
  const LocalShape local(model, whole);
  const OpCosts ops(local, format, workload);
  const Step step = {.rows = workload.batch,
                     .cacheReads = double(workload.batch),
                     .context = workload.context,
                     .logitRows = workload.batch,
                     .distinctExperts =
                         expectedDistinct(model.experts, model.selectedExperts, workload.batch)};
  double bytes = 0;
  for (const OpCost &op : ops.layer(step))
    bytes += double(model.layers) * (op.weightBytes + op.cacheBytes);
  for (const OpCost &op : ops.head(step))
    bytes += op.weightBytes;
  const double all = machine.sharedCores ? machine.nodeBandwidth * double(machine.nodes)
                                         : machine.bandwidth * double(machine.devices());
  return bytes / all;
}

} // namespace grok::search
