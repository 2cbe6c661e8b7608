// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/outlining/ExpertSubsets.h"

using namespace mlir;
using namespace grok::plan;

std::string ExpertSubset::suffix() const {
  return isWhole() ? "" : ".subset" + std::to_string(number);
}

static Attribute formatOfExpert(RankedTensorType weight, int64_t expert) {
  if (auto experts = dyn_cast_or_null<grok::ExpertFormatsAttr>(weight.getEncoding()))
    return experts.getFormats()[expert];
  return weight.getEncoding();
}

SmallVector<ExpertSubset> grok::plan::subsetsOf(ArrayRef<RankedTensorType> weights) {
  auto areAlike = [&](int64_t one, int64_t other) {
    return llvm::all_of(weights, [&](RankedTensorType weight) {
      return formatOfExpert(weight, one) == formatOfExpert(weight, other);
    });
  };
  SmallVector<ExpertSubset> subsets;
  for (int64_t expert = 0; expert < weights.front().getDimSize(0); ++expert) {
    auto found = llvm::find_if(subsets, [&](const ExpertSubset &subset) {
      return areAlike(subset.experts.front(), expert);
    });
    if (found != subsets.end())
      found->experts.push_back(expert);
    else
      subsets.push_back({{expert}, int64_t(subsets.size())});
  }
  if (subsets.size() == 1)
    subsets.front().experts.clear();
  return subsets;
}

/// The down projection of what `x` is, through its rounding.
static grok::FusedDownCombineOp downOf(Value x) {
  for (Operation *user : x.getUsers()) {
    if (auto down = dyn_cast<grok::FusedDownCombineOp>(user))
      return down;
    if (auto quantize = dyn_cast<grok::QuantizeOp>(user))
      if (grok::FusedDownCombineOp down = downOf(quantize.getResult()))
        return down;
  }
  return {};
}

SmallVector<ExpertSubset> grok::plan::subsetsOf(FusedGateUpOp op) {
  auto typeOf = [](Value weight) { return cast<RankedTensorType>(weight.getType()); };
  SmallVector<RankedTensorType, 3> weights{typeOf(op.getGate()), typeOf(op.getUp())};
  if (grok::FusedDownCombineOp down = downOf(op.getResult()))
    weights.push_back(typeOf(down.getDown()));
  return subsetsOf(weights);
}

Attribute grok::plan::formatOf(RankedTensorType weight, const ExpertSubset &subset) {
  return formatOfExpert(weight, subset.isWhole() ? 0 : subset.experts.front());
}
