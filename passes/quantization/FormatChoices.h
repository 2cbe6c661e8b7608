// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One option for every item of a model: all alike, or the best within a budget.
#pragma once

#include "passes/quantization/ItemOptions.h"

namespace grok::quantization {

/// The options of every item and one of them for each.
struct FormatChoices {
  std::vector<std::vector<ItemOption>> options;
  std::vector<int64_t> chosen;
  double gap = 0; // nats that a better choice could still save

  const ItemOption &of(size_t item) const { return options[item][chosen[item]]; }
  int64_t bytes() const;
  double loss() const; // nats
};

/// The whole model in one format, as far as it can be.
FormatChoices chooseFlat(const ModelWeights &model, const ItemOptions &options, Storage storage);

/// What every item may be under the allowed formats; the first that is allowed
/// is chosen.
FormatChoices collectChoices(const ModelWeights &model, const ItemOptions &options,
                             llvm::ArrayRef<Storage> allowed);

/// Bytes of the smallest choice.
int64_t leastBytes(const FormatChoices &choices);

/// Chooses for least loss within `budget`, which is at least the least bytes.
/// Never worse than a flat choice of `allowed` that fits.
void chooseWithin(int64_t budget, const ModelWeights &model, const ItemOptions &options,
                  llvm::ArrayRef<Storage> allowed, FormatChoices &choices);

} // namespace grok::quantization
