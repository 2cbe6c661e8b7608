// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What no plan of a family can be better than.
#pragma once

#include "passes/sharding/search/CostModel.h"

namespace grok::search {

/// At most the objective of every plan with this tp, ep, pp and these hidden layers: bytes that
/// must be read, arithmetic and the cheapest collectives, with batches spread over as many replicas
/// as the machine holds.
double boundObjective(const CostModel &costs, const Sharding &family, const WeightFormat &format);

/// At most the memory of the fullest rank of every such plan.
double boundMemory(const CostModel &costs, const Sharding &family, const WeightFormat &format);

} // namespace grok::search
