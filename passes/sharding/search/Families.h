// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The plans of one search, grouped by format, tp, ep, pp and hidden layers.
#pragma once

#include "passes/sharding/search/Search.h"

namespace grok::search {

struct Family {
  Sharding sharding; // dp = 1
  const WeightFormat *format = nullptr;
  double bound = 0, leastBytes = 0;
};

/// All that the model, the devices and the limits allow, the least bound first.
/// They point into `formats`.
std::vector<Family> listFamilies(const CostModel &costs, const Limits &limits,
                                 const std::vector<WeightFormat> &formats);

/// The family's plans that are worth evaluating: replicas as far as some then has
/// fewer sequences, and the choices of micro-batches.
std::vector<Plan> plansOf(const Family &family, const CostModel &costs, const Limits &limits);

/// Usable bytes of a rank if there are no more than the family's.
double availableFor(const Family &family, const Machine &machine);

} // namespace grok::search
