// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Families.h"

#include "passes/sharding/search/Bounds.h"

#include <algorithm>
#include <tuple>

namespace grok::search {

static bool isWanted(int64_t given, int64_t size) { return given == 0 || given == size; }

std::vector<Family> listFamilies(const CostModel &costs, const Limits &limits,
                                 const std::vector<WeightFormat> &formats) {
  const ModelShape &model = costs.model;
  const int64_t devices = costs.machine.devices();
  std::vector<Family> families;
  for (int64_t tp = 1; tp <= std::min(devices, model.queryHeads); ++tp)
    for (int64_t ep = 1; isWanted(limits.tp, tp) && ep <= std::min(devices / tp, model.experts);
         ++ep)
      for (int64_t pp = 1;
           isWanted(limits.ep, ep) && pp <= std::min(devices / (tp * ep), model.layers); ++pp) {
        const Sharding sharding{tp, ep, pp, /*dp=*/1, {}};
        if (!isWanted(limits.pp, pp) || !checkSharding(model, sharding, costs.workload))
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

std::vector<Plan> plansOf(const Family &family, const CostModel &costs, const Limits &limits) {
  std::vector<Plan> plans;
  const int64_t batch = costs.workload.batch;
  int64_t before = 0;
  for (int64_t dp = 1; dp <= costs.machine.devices() / family.sharding.ranks(); ++dp) {
    const int64_t sequences = (batch + dp - 1) / dp;
    // More replicas help only if some replica then has fewer sequences. Their
    // number may be given.
    const bool isUseful = dp == 1 || sequences < before;
    before = sequences;
    Sharding sharding = family.sharding;
    sharding.dp = dp;
    const bool isGiven = limits.dp || limits.usesAllDevices;
    if (isGiven ? !isAllowed(sharding, limits, costs.workload, costs.machine) : !isUseful)
      continue;
    for (int64_t count : microBatchChoices(sharding.pp, sequences))
      plans.push_back(costs.evaluate(sharding, *family.format, count));
  }
  return plans;
}

double availableFor(const Family &family, const Machine &machine) {
  return machine.rankMemory(std::min(family.sharding.ranks(), machine.devicesPerNode));
}

} // namespace grok::search
