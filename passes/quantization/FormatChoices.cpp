// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/FormatChoices.h"

#include <cassert>

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

int64_t FormatChoices::bytes() const {
  int64_t bytes = 0;
  for (size_t item = 0; item < options.size(); ++item)
    bytes += of(item).bytes;
  return bytes;
}

double FormatChoices::loss() const {
  double loss = 0;
  for (size_t item = 0; item < options.size(); ++item)
    loss += of(item).loss;
  return loss;
}

FormatChoices quantization::chooseFlat(const ModelWeights &model, const ItemOptions &options,
                                       Storage storage) {
  FormatChoices choices;
  for (const WeightItem &item : model.items)
    choices.options.push_back({options.makeFlat(item, storage)});
  choices.chosen.assign(model.items.size(), 0);
  return choices;
}

static bool contains(ArrayRef<ItemOption> known, const ItemOption &option) {
  return llvm::any_of(known, [&](const ItemOption &other) { return other.isSameAs(option); });
}

FormatChoices quantization::collectChoices(const ModelWeights &model, const ItemOptions &options,
                                           ArrayRef<Storage> allowed) {
  FormatChoices choices;
  for (const WeightItem &item : model.items) {
    std::vector<ItemOption> &collected = choices.options.emplace_back();
    for (Storage storage : allowed)
      if (ItemOption option = options.make(item, storage); !contains(collected, option))
        collected.push_back(std::move(option));
  }
  choices.chosen.assign(model.items.size(), 0);
  return choices;
}

static std::vector<Item> itemsOf(const FormatChoices &choices) {
  std::vector<Item> items;
  for (const std::vector<ItemOption> &options : choices.options) {
    Item &item = items.emplace_back();
    for (const ItemOption &option : options)
      item.push_back({option.bytes, toFixedPoint(option.loss)});
  }
  return items;
}

int64_t quantization::leastBytes(const FormatChoices &choices) {
  return leastBytes(itemsOf(choices));
}

/// The flat choice as indices into the options of `choices`, if they have it.
static std::optional<std::vector<int64_t>> findIn(const FormatChoices &choices,
                                                  const FormatChoices &flat) {
  std::vector<int64_t> chosen;
  for (auto [item, options] : llvm::enumerate(choices.options)) {
    auto found = llvm::find_if(
        options, [&](const ItemOption &option) { return option.isSameAs(flat.of(item)); });
    if (found == options.end())
      return std::nullopt;
    chosen.push_back(found - options.begin());
  }
  return chosen;
}

void quantization::chooseWithin(int64_t budget, const ModelWeights &model,
                                const ItemOptions &options, ArrayRef<Storage> allowed,
                                FormatChoices &choices) {
  std::vector<std::vector<int64_t>> candidates;
  for (Storage storage : allowed)
    if (auto flat = findIn(choices, chooseFlat(model, options, storage)))
      candidates.push_back(std::move(*flat));
  std::optional<Solution> solution = solve(itemsOf(choices), budget, candidates);
  assert(solution && "the least bytes fit");
  choices.chosen = std::move(solution->choices);
  choices.gap = toNats(solution->gap());
}
