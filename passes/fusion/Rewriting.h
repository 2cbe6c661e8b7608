// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the fusion patterns share: how they are run, and where a fused op may
// stand among the users of what it replaces.
#pragma once

#include "mlir/IR/PatternMatch.h"

namespace grok {

/// Applies `patterns` below `root` until none matches. Nothing else changes:
/// no folding, no constant merging, no region simplification.
llvm::LogicalResult applyFusionPatterns(mlir::Operation *root, mlir::RewritePatternSet &&patterns);

/// Whether every user of `value` is `op` or comes after it in its block, so that
/// an op put in its place could define `value`. Users inside regions count as
/// the op that holds them.
bool isOnlyUsedFrom(mlir::Value value, mlir::Operation *op);

} // namespace grok
