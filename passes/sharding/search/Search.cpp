// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Search.h"

#include "passes/sharding/search/Bounds.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace grok::search {

bool ranksBefore(const Plan &left, const Plan &right) {
  const auto key = [](const Plan &plan) {
    return std::tuple(plan.objective, plan.sharding.ranks(), plan.sharding.text(),
                      plan.microBatches, plan.format.name);
  };
  return key(left) < key(right);
}

namespace {
struct Family {
  Sharding sharding;
  const WeightFormat *format = nullptr;
  double bound = 0, leastBytes = 0;
};

class Search {
public:
  Search(const ModelShape &model, Machine given, const Workload &workload, const Limits &limits)
      : machine(std::move(given)), limits(limits), costs(model, machine, workload) {
    if (limits.memoryBudget > 0)
      machine.budgetBytes = limits.memoryBudget;
  }

  Result<RankedPlans> run(const std::vector<WeightFormat> &formats);

private:
  std::vector<Family> listFamilies(const std::vector<WeightFormat> &formats) const;
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

static bool isWanted(int64_t given, int64_t size) { return given == 0 || given == size; }

std::vector<Family> Search::listFamilies(const std::vector<WeightFormat> &formats) const {
  const ModelShape &model = costs.model;
  const int64_t devices = machine.devices();
  std::vector<Family> families;
  for (int64_t tp = 1; tp <= std::min(devices, model.queryHeads); ++tp)
    for (int64_t ep = 1; isWanted(limits.tp, tp) && ep <= std::min(devices / tp, model.experts);
         ++ep)
      for (int64_t pp = 1;
           isWanted(limits.ep, ep) && pp <= std::min(devices / (tp * ep), model.layers); ++pp) {
        const Sharding sharding{tp, ep, pp, /*dp=*/1, {}};
        if (!isWanted(limits.pp, pp) || !checkSharding(model, sharding))
          continue;
        for (const WeightFormat &format : formats)
          families.push_back({sharding, &format, boundObjective(costs, sharding, format),
                              boundMemory(costs, sharding, format)});
      }
  std::ranges::sort(families, {}, [](const Family &family) {
    return std::tuple(family.bound, family.sharding.text(), family.format->name);
  });
  return families;
}

double Search::worstKept() const {
  return ranked.plans.size() < limits.top ? std::numeric_limits<double>::infinity()
                                          : ranked.plans.back().objective;
}

void Search::keep(Plan plan) {
  ++ranked.evaluated;
  if (!plan.fits()) {
    if (!ranked.smallest || plan.memory.total() < ranked.smallest->memory.total())
      ranked.smallest = std::move(plan);
    return;
  }
  const auto at = std::ranges::upper_bound(ranked.plans, plan, ranksBefore);
  ranked.plans.insert(at, std::move(plan));
  if (ranked.plans.size() > limits.top)
    ranked.plans.pop_back();
}

void Search::evaluateFamily(const Family &family) {
  const int64_t batch = costs.workload.batch;
  int64_t before = 0;
  for (int64_t dp = 1; dp <= machine.devices() / family.sharding.ranks(); ++dp) {
    const int64_t sequences = (batch + dp - 1) / dp;
    // More replicas help only if some replica then has fewer sequences.
    const bool isUseful = limits.dp ? dp == limits.dp : dp == 1 || sequences < before;
    before = sequences;
    if (!isUseful)
      continue;
    Sharding sharding = family.sharding;
    sharding.dp = dp;
    for (int64_t count : microBatchChoices(sharding.pp, sequences))
      keep(costs.evaluate(sharding, *family.format, count));
  }
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
  if (Result<void> checked = checkSharding(costs.model, asked); !checked)
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
  const std::vector<Family> families = listFamilies(formats);
  for (const Family &family : families) {
    const double available =
        machine.rankMemory(std::min(family.sharding.ranks(), machine.devicesPerNode));
    if (!smallest || family.leastBytes < smallest->leastBytes)
      smallest = &family;
    if (family.leastBytes > available)
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
