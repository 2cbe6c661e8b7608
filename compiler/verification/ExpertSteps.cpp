// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The expert products of a layer: one op of the model, launches for each subset
// of the experts.
#include "compiler/verification/StepVerifier.h"

namespace grok::verification {

using interpreter::Indices;
using interpreter::Tensor;

/// Numbers among the subset; -1 for experts of other subsets.
static Indices localIds(const Indices &experts, const plan::ExpertSubset &subset) {
  Indices local = experts;
  if (subset.isWhole())
    return local;
  for (int32_t &expert : local.values) {
    auto found = llvm::find(subset.experts, expert);
    expert = found == subset.experts.end() ? -1 : int32_t(found - subset.experts.begin());
  }
  return local;
}

/// Numbering and sorting the rows of a subset are no ops of the model.
Result<StepVerifier::SubsetGroups> StepVerifier::takeGroups(const Probe &probe,
                                                            const plan::ExpertSubset &subset) {
  if (!chosen)
    return tl::unexpected(interpreter::placeOf(*probe.op) + ": no launch has chosen experts");
  if (!subset.isWhole()) {
    auto map = takeNamed(probe, "map_experts");
    if (!map)
      return tl::unexpected(map.error());
    const std::vector<int64_t> numbers(subset.experts.begin(), subset.experts.end());
    finish(**map, compareLocal((*map)->written.front(), *chosen, numbers));
  }
  auto group = takeNamed(probe, "group");
  if (!group)
    return tl::unexpected(group.error());
  SubsetGroups groups{&(*group)->written.front(),
                      subset.isWhole() ? numExperts : int64_t(subset.experts.size())};
  Mismatch mismatch = compareGroups(*groups.groups, localIds(*chosen, subset), groups.experts);
  finish(**group, mismatch);
  if (mismatch.share > 0)
    return tl::unexpected((*group)->name + ": " + mismatch.what);
  return groups;
}

/// One launch whose rows stand in the order of the groups: a gate_up, or the
/// rounding of what it made. Its pairs go to `values`.
Result<void> StepVerifier::verifyPairs(const Probe &probe, const SubsetGroups &subset,
                                       const Known &reference, std::vector<float> &values) {
  auto launch = takeLaunch(probe);
  if (!launch)
    return tl::unexpected(launch.error());
  RecordedBuffer rows = (*launch)->written.front();
  if (rows.shape.size() != 3)
    return tl::unexpected((*launch)->name + ": expected rows for each choice");
  rows = firstPairs(rows, countPairs(*subset.groups));
  if (auto quantize = mlir::dyn_cast<QuantizeOp>(probe.op)) {
    auto opened = dequantizeRows(rows, quantize.getResult().getType());
    if (!opened)
      return tl::unexpected((*launch)->name + ": " + opened.error());
    rows = std::move(*opened);
  }
  const Tensor &tensor = reference.tensor();
  if (rows.shape.back() != tensor.shape.back())
    return tl::unexpected((*launch)->name + ": rows of " + std::to_string(rows.shape.back()) +
                          " values, expected " + std::to_string(tensor.shape.back()));
  // Pairs of other subsets are compared with themselves.
  RecordedBuffer all{rows.name, tensor.shape, tensor.values, {}, {}, rows.paddingRow};
  spreadByChoice(rows, *subset.groups, subset.experts, all.numbers);
  spreadByChoice(rows, *subset.groups, subset.experts, values);
  auto mismatch = compareNumbers(all, reference);
  if (!mismatch)
    return tl::unexpected((*launch)->name + ": " + mismatch.error());
  finish(**launch, *mismatch);
  return {};
}

Result<void> StepVerifier::verifyOverSubsets(const Probe &probe, std::vector<Known> &results) {
  Known &result = results.front();
  auto &tensor = std::get<Tensor>(result.value);
  if (mlir::isa<FusedDownCombineOp>(probe.op)) {
    // Sums grow from launch to launch; the last one leaves what the op computes.
    for (size_t i = 0; i + 1 < subsets.size(); ++i) {
      auto part = takeLaunch(probe);
      if (!part)
        return tl::unexpected(part.error());
      finish(**part, {});
    }
    auto launch = takeLaunch(probe);
    if (!launch)
      return tl::unexpected(launch.error());
    auto mismatch = compare(probe, **launch, results);
    if (!mismatch)
      return tl::unexpected(mismatch.error());
    finish(**launch, *mismatch);
    return {};
  }
  std::vector<float> values = tensor.values;
  if (auto gateUp = mlir::dyn_cast<FusedGateUpOp>(probe.op)) {
    subsets.clear();
    for (const plan::ExpertSubset &subset : plan::subsetsOf(gateUp)) {
      auto groups = takeGroups(probe, subset);
      if (!groups)
        return tl::unexpected(groups.error());
      subsets.push_back(*groups);
      if (auto done = verifyPairs(probe, *groups, result, values); !done)
        return done;
    }
  } else {
    for (const SubsetGroups &subset : subsets)
      if (auto done = verifyPairs(probe, subset, result, values); !done)
        return done;
  }
  // The values that the program really had are what the next launches read.
  tensor.values = std::move(values);
  result.bound.clear();
  return {};
}

} // namespace grok::verification
