// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers whose experts are split in another way than those of the other layers.
// `grok.hidden_layers` on the module lists the layers of which every rank of a stage
// has a part of the hidden columns of all experts, over ep and tp; in all others
// ep splits the experts and tp their hidden columns.
#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace grok::sharding {

/// Layers in ascending order; empty without the attribute.
llvm::ArrayRef<int64_t> hiddenLayersOf(mlir::ModuleOp module);

/// What stands behind a sharding's text: ":hidden=0-3,7", or "".
std::string layerKindsText(mlir::ModuleOp module);

/// `layers` are ascending.
void setHiddenLayers(mlir::ModuleOp module, llvm::ArrayRef<int64_t> layers);

/// Sets the attribute as `text` says, "hidden=0-3,7" or "hidden=all", which are layers of `layers`;
/// with "" there is none. One error for anything else.
mlir::LogicalResult readLayerKinds(mlir::ModuleOp module, llvm::StringRef text, int64_t layers);

} // namespace grok::sharding
