// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/planning/ShapeOf.h"

namespace grok::planning {

search::ModelShape shapeOf(const graph::ModelConfig &config) {
  return {.name = config.name,
          .vocabulary = config.vocabSize,
          .width = config.embSize,
          .layers = config.numLayers,
          .queryHeads = config.numQHeads,
          .keyValueHeads = config.numKvHeads,
          .headSize = config.keySize,
          .hidden = config.ffnSize,
          .experts = config.numExperts,
          .selectedExperts = config.numSelectedExperts,
          .rowGroups = config.modelShardsOfInt8Scales};
}

} // namespace grok::planning
