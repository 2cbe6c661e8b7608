// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers of one plan that cost alike: stored alike, and split alike.
#pragma once

#include "passes/sharding/search/OpCosts.h"

namespace grok::search {

struct LayerPart {
  double share = 1;         // of all layers
  int64_t expertGroups = 1; // of ranks that have experts of their own
  WeightFormat format;      // of these layers
  LocalShape local;         // of one of them
};

/// At least one. The shares add up to 1.
std::vector<LayerPart> layerParts(const ModelShape &model, const Sharding &sharding,
                                  const WeightFormat &format);

/// The layers of each choice worth trying: of every group of layers that are stored
/// alike, all or none behind `hidden=`. Left out are choices by which ep would part
/// experts whose formats differ. One rank's choice is none.
std::vector<std::vector<int64_t>> hiddenChoices(const ModelShape &model, int64_t ep,
                                                const WeightFormat &format);

/// Whether ep can split the experts of all layers that are not hidden.
bool suitsFormats(const ModelShape &model, const Sharding &sharding, const WeightFormat &format);

} // namespace grok::search
