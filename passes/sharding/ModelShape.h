// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The numbers of a model that ranks may divide among them, read off its graph.
#pragma once

#include "dialects/grok/GrokDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace grok::sharding {

struct ModelShape {
  int64_t layers = 0; // 0: no attention, and then no heads
  int64_t queryHeads = 0;
  int64_t kvHeads = 0;
  int64_t experts = 0;    // 0: none
  int64_t hidden = 0;     // of an expert
  int64_t vocabulary = 0; // 0: neither embed nor unembed
};

/// Of the module's functions. One error if its layers differ.
mlir::FailureOr<ModelShape> shapeOf(mlir::ModuleOp module);

/// One error that names the number which does not divide.
mlir::LogicalResult checkLegality(mlir::ModuleOp module, ShardingAttr sharding);

/// How many parts kv heads are cut into: tp, or one for each head if those are
/// fewer and not 0.
int64_t kvParts(ShardingAttr sharding, int64_t kvHeads);

} // namespace grok::sharding
