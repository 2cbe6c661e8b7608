// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Families.h"

#include "passes/sharding/search/Arithmetic.h"
#include "passes/sharding/search/Bounds.h"
#include "passes/sharding/search/LayerParts.h"

#include <algorithm>
#include <tuple>

namespace grok::search {

/// Those of one tp, ep, pp and format.
static void addFamilies(std::vector<Family> &families, const CostModel &costs, const Limits &limits,
                        Sharding sharding, const WeightFormat &format) {
  const auto choices = limits.hiddenLayers ? std::vector<std::vector<int64_t>>{*limits.hiddenLayers}
                                           : hiddenChoices(costs.model, sharding.ep, format);
  for (const std::vector<int64_t> &hidden : choices) {
    sharding.hiddenLayers = hidden;
    if (checkSharding(costs.model, sharding, costs.workload) &&
        suitsFormats(costs.model, sharding, format))
      families.push_back({sharding, &format, boundObjective(costs, sharding, format),
                          boundMemory(costs, sharding, format)});
  }
}

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
          addFamilies(families, costs, limits, sharding, format);
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
    const int64_t sequences = divideUp(batch, dp);
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
