// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Search.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/Families.h"

#include <algorithm>
#include <tuple>

namespace grok::search {

bool isAllowed(const Sharding &sharding, const Limits &limits, const Workload &workload,
               const Machine &machine) {
  if (!isWanted(limits.tp, sharding.tp) || !isWanted(limits.ep, sharding.ep) ||
      !isWanted(limits.pp, sharding.pp) || !isWanted(limits.dp, sharding.dp) ||
      (limits.hiddenLayers && *limits.hiddenLayers != sharding.hiddenLayers))
    return false;
  return !limits.usesAllDevices ||
         (sharding.ranks() == machine.devices() && sharding.dp <= workload.batch);
}

bool ranksBefore(const Plan &left, const Plan &right) {
  const auto key = [](const Plan &plan) {
    return std::tuple(plan.objective, plan.sharding.ranks(), plan.sharding.text(),
                      plan.microBatches, plan.format.name);
  };
  return key(left) < key(right);
}

namespace {
class Search {
public:
  Search(const ModelShape &model, Machine given, const Workload &workload, const Limits &limits)
      : machine(std::move(given)), limits(limits), costs(model, machine, workload) {
    if (limits.memoryBudget > 0)
      machine.budgetBytes = limits.memoryBudget;
  }

  Result<RankedPlans> run(const std::vector<WeightFormat> &formats);

private:
  Result<void> explainEmpty() const;
  void evaluateFamily(const Family &family);
  void keep(Plan plan);
  void prune(const Family &family, const char *rule);
  double worstKept() const;

  Machine machine;
  const Limits &limits;
  CostModel costs;
  RankedPlans ranked;
};
} // namespace

double Search::worstKept() const {
  return ranked.plans.size() < limits.top ? infinity : ranked.plans.back().objective;
}

void Search::keep(Plan plan) {
  ++ranked.evaluated;
  if (!plan.fits()) {
    if (!ranked.smallest || plan.memory.total() < ranked.smallest->memory.total())
      ranked.smallest = std::move(plan);
    return;
  }
  // Of the ways to run one split, the best.
  const auto same = std::ranges::find_if(ranked.plans, [&](const Plan &other) {
    return other.sharding.sameSplit(plan.sharding) && other.format.name == plan.format.name;
  });
  if (same != ranked.plans.end()) {
    if (!ranksBefore(plan, *same))
      return;
    ranked.plans.erase(same);
  }
  const auto at = std::ranges::upper_bound(ranked.plans, plan, ranksBefore);
  ranked.plans.insert(at, std::move(plan));
  if (ranked.plans.size() > limits.top)
    ranked.plans.pop_back();
}

void Search::evaluateFamily(const Family &family) {
  for (Plan &plan : plansOf(family, costs, limits))
    keep(std::move(plan));
}

void Search::prune(const Family &family, const char *rule) {
  ranked.pruned.push_back(
      {family.format->name, family.sharding, family.bound, family.leastBytes, rule});
}

/// Why no family is left.
Result<void> Search::explainEmpty() const {
  Sharding asked;
  asked.tp = std::max<int64_t>(1, limits.tp);
  asked.ep = std::max<int64_t>(1, limits.ep);
  asked.pp = std::max<int64_t>(1, limits.pp);
  asked.dp = std::max<int64_t>(1, limits.dp);
  asked.hiddenLayers = limits.hiddenLayers.value_or(asked.hiddenLayers);
  if (Result<void> checked = checkSharding(costs.model, asked, costs.workload); !checked)
    return checked;
  if (asked.ranks() > machine.devices())
    return fail(asked.text(), " takes ", asked.ranks(), " ranks, but ", machine.name, " has ",
                machine.devices());
  return {};
}

Result<RankedPlans> Search::run(const std::vector<WeightFormat> &formats) {
  if (Result<void> possible = explainEmpty(); !possible)
    return tl::unexpected(possible.error());
  ranked = {};
  const Family *smallest = nullptr;
  const std::vector<Family> families = listFamilies(costs, limits, formats);
  for (const Family &family : families) {
    if (!smallest || family.leastBytes < smallest->leastBytes)
      smallest = &family;
    if (family.leastBytes > availableFor(family, machine))
      prune(family, "memory");
    else if (family.bound > worstKept())
      prune(family, "time");
    else
      evaluateFamily(family);
  }
  if (ranked.plans.empty() && smallest)
    evaluateFamily(*smallest);
  return std::move(ranked);
}

/// The most bits, of mixes of two formats, with which some plan fits.
static Result<RankedPlans> searchMixes(Search &search, const WeightFormat &low,
                                       const WeightFormat &high) {
  constexpr int steps = 100;
  int fitting = 0, failing = steps;
  Result<RankedPlans> best = search.run({low});
  if (!best || best->plans.empty())
    return best;
  while (failing - fitting > 1) {
    const int middle = (fitting + failing) / 2;
    Result<RankedPlans> next = search.run({mixFormats(low, high, double(middle) / steps)});
    if (!next)
      return next;
    if (next->plans.empty()) {
      failing = middle;
    } else {
      fitting = middle;
      best = std::move(next);
    }
  }
  return best;
}

Result<RankedPlans> searchShardings(const ModelShape &model, const Machine &machine,
                                    const Workload &workload, const Limits &limits) {
  Search search(model, machine, workload, limits);
  if (!limits.formats.empty())
    return search.run(limits.formats);
  for (const char *name : {"int8", "int4"}) {
    Result<RankedPlans> ranked = search.run({*weightFormatNamed(name)});
    if (!ranked || !ranked->plans.empty())
      return ranked;
  }
  return searchMixes(search, *weightFormatNamed("int3"), *weightFormatNamed("int4"));
}

} // namespace grok::search
