// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What quantising an item is expected to cost: measured, as the module says, or
// by rule.
#pragma once

#include "passes/quantization/WeightItems.h"

#include "llvm/ADT/StringSet.h"

namespace grok::quantization {

/// The attribute `grok.sensitivities` of a module, described in SelectQuantization's
/// documentation. Without it everything is by rule.
class Sensitivities {
public:
  /// Reports one error at the module if the attribute is malformed.
  static mlir::FailureOr<Sensitivities> read(mlir::ModuleOp module);

  bool isMeasured() const { return !!entries; }
  /// Whether single experts of the item have entries of their own.
  bool areOfExperts(const WeightItem &item) const { return split.contains(item.name); }
  /// Every entry is of an item, and every expert has one if any of the item has.
  mlir::LogicalResult check(mlir::ModuleOp module, const ModelWeights &model) const;

  /// Nats per relative squared error of the item's weights; never negative.
  double lossPerError(const WeightItem &item, const ModelWeights &model) const;
  /// The relative squared error of an item under `storage`, if measured.
  std::optional<double> errorOf(const WeightItem &item, Storage storage) const;

private:
  mlir::DictionaryAttr entryOf(llvm::StringRef name) const;

  mlir::DictionaryAttr entries; // null without measurements
  llvm::StringSet<> split;      // items whose experts have entries
};

} // namespace grok::quantization
