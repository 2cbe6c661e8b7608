// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/LayerParts.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace grok::search {

static std::vector<ExpertGroup> groupsOf(const ModelShape &model, const WeightFormat &format) {
  if (!format.groups.empty())
    return format.groups;
  ExpertGroup all{.layers = std::vector<int64_t>(size_t(model.layers)), .experts = format.experts};
  std::iota(all.layers.begin(), all.layers.end(), 0);
  return {std::move(all)};
}

static int64_t countHidden(const ExpertGroup &group, const Sharding &sharding) {
  return std::ranges::count_if(group.layers, [&](int64_t layer) {
    return std::ranges::binary_search(sharding.hiddenLayers, layer);
  });
}

std::vector<LayerPart> layerParts(const ModelShape &model, const Sharding &sharding,
                                  const WeightFormat &format) {
  std::vector<LayerPart> parts;
  for (const ExpertGroup &group : groupsOf(model, format)) {
    WeightFormat own{format.name, group.experts, format.attention, format.table};
    const int64_t hidden = countHidden(group, sharding);
    for (bool splitsHidden : {false, true}) {
      const int64_t layers = splitsHidden ? hidden : int64_t(group.layers.size()) - hidden;
      if (layers > 0)
        parts.push_back({double(layers) / double(model.layers), splitsHidden ? 1 : sharding.ep, own,
                         LocalShape(model, sharding, splitsHidden)});
    }
  }
  return parts;
}

std::vector<std::vector<int64_t>> hiddenChoices(const ModelShape &model, int64_t ep,
                                                const WeightFormat &format) {
  const std::vector<ExpertGroup> groups = groupsOf(model, format);
  std::vector<std::vector<int64_t>> choices;
  for (size_t mask = 0; mask < (ep == 1 ? 1 : size_t(1) << groups.size()); ++mask) {
    std::vector<int64_t> hidden;
    for (size_t i = 0; i < groups.size(); ++i)
      if ((mask >> i & 1) != 0)
        std::ranges::copy(groups[i].layers, std::back_inserter(hidden));
    std::ranges::sort(hidden);
    if (suitsFormats(model, {.ep = ep, .hiddenLayers = hidden}, format))
      choices.push_back(std::move(hidden));
  }
  return choices;
}

bool suitsFormats(const ModelShape &model, const Sharding &sharding, const WeightFormat &format) {
  return std::ranges::all_of(format.groups, [&](const ExpertGroup &group) {
    return model.experts / sharding.ep % group.period == 0 ||
           countHidden(group, sharding) == int64_t(group.layers.size());
  });
}

} // namespace grok::search
