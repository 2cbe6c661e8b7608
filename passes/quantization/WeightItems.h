// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a format is chosen for: matrices that must be stored alike, or that are
// measured together.
#pragma once

#include "passes/quantization/Storage.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace grok::quantization {

enum class ItemKind { table, attention, gateUp, down };
inline constexpr ItemKind allItemKinds[] = {ItemKind::table, ItemKind::attention, ItemKind::gateUp,
                                            ItemKind::down};

/// "table", "attention", "gate_up", "down".
llvm::StringRef nameOf(ItemKind kind);
/// Whether the kind is one of the experts' matrices.
bool isOfExperts(ItemKind kind);

/// A parameter of the model that some item is made of, in all ops that name it.
struct WeightUse {
  llvm::SmallVector<WeightOp> ops;
  MatrixForm form;
};

/// Gate and up of one layer, say, or of one of its experts.
struct WeightItem {
  std::string name; // "table", "layer3.down", "layer3.down.expert5"
  ItemKind kind = ItemKind::table;
  int64_t layer = -1;          // -1 for the table
  int64_t expert = -1;         // -1 for all
  std::vector<size_t> weights; // of ModelWeights

  /// The part of `weight` that is the item's.
  MatrixForm formOf(const WeightUse &weight) const;
};

/// Everything of a model that takes bytes, as the checkpoint stores it.
struct ModelWeights {
  std::vector<WeightUse> weights;
  std::vector<WeightItem> items;
  int64_t layers = 0;
  int64_t matrixElements = 0; // routers too
  int64_t routerBytes = 0;    // matrices that are of no item
  int64_t vectorBytes = 0;    // norms
  bool isQuantised = false;   // some matrix is int8
};

/// Finds weights by the ops that read them and layers by the weights' names.
/// Experts of an item for which `isSplit` says so become items of their own.
/// Reports one error at the first weight that cannot be one of a checkpoint.
mlir::FailureOr<ModelWeights> findWeights(mlir::ModuleOp module,
                                          llvm::function_ref<bool(const WeightItem &)> isSplit);

} // namespace grok::quantization
