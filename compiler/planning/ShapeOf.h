// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A described model as the sharding search sees it.
#pragma once

#include "frontends/graph/Config.h"
#include "passes/sharding/search/Model.h"

namespace grok::planning {

search::ModelShape shapeOf(const graph::ModelConfig &config);

} // namespace grok::planning
