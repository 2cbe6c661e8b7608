// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What quantising an item is expected to cost: measured, as the module says, or
// by rule.
#pragma once

#include "passes/quantization/WeightItems.h"

#include "llvm/ADT/StringSet.h"

#include <map>

namespace grok::quantization {

/// A measurement of one item, as `grok.sensitivities` holds it.
struct ItemSensitivity {
  double loss = 0;                                   // nats per relative squared error
  std::map<std::string, double, std::less<>> errors; // relative squared, by format: "int4g32"
};

/// By item: "layer3.down", "layer3.down.expert5", "layer0.attention", "table".
using MeasuredSensitivities = std::map<std::string, ItemSensitivity, std::less<>>;

/// Leaves what was measured on the module for SelectQuantization.
void setSensitivities(mlir::ModuleOp module, const MeasuredSensitivities &measured);

/// The attribute `grok.sensitivities` of a module, described in SelectQuantization's
/// documentation. Without it everything is by rule.
class Sensitivities {
public:
  /// Reports one error at the module if the attribute is malformed.
  static mlir::FailureOr<Sensitivities> read(mlir::ModuleOp module);

  bool isMeasured() const { return !!entries; }
  /// Whether single experts of the item have entries of their own. Those that do
  /// not have equal shares of the item's.
  bool areOfExperts(const WeightItem &item) const { return split.contains(item.name); }
  /// Every entry is of an item, and every expert has one if any of the item has.
  mlir::LogicalResult check(mlir::ModuleOp module, const ModelWeights &model) const;

  /// Nats per relative squared error of the item's weights; never negative.
  double lossPerError(const WeightItem &item, const ModelWeights &model) const;
  /// The relative squared error of an item under `storage`, if measured.
  std::optional<double> errorOf(const WeightItem &item, Storage storage) const;

private:
  mlir::DictionaryAttr entryOf(const WeightItem &item) const;

  mlir::DictionaryAttr entries; // null without measurements
  llvm::StringSet<> split;      // items whose experts have entries
};

} // namespace grok::quantization
