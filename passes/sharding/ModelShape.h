// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The numbers of a model that ranks may divide among them, read off its graph.
#pragma once

#include "dialects/grok/GrokDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include <optional>
#include <string>

namespace grok::sharding {

struct ModelShape {
  int64_t layers = 0; // 0: no attention, and then no heads
  int64_t queryHeads = 0;
  int64_t kvHeads = 0;
  int64_t headSize = 0;
  int64_t experts = 0;    // 0: none
  int64_t selected = 0;   // experts of a row
  int64_t hidden = 0;     // of an expert
  int64_t vocabulary = 0; // 0: neither embed nor unembed
  int64_t width = 0;      // of the residual
};

/// Of the module's functions. One error if its layers differ.
mlir::FailureOr<ModelShape> shapeOf(mlir::ModuleOp module);

/// Why a model of this shape cannot be spread so: which number does not divide.
/// Nothing if it can.
std::optional<std::string> findObstacle(mlir::ModuleOp module, const ModelShape &shape,
                                        ShardingAttr sharding);

/// How many parts kv heads are cut into: tp, or one for each head if those are
/// fewer and not 0.
int64_t kvParts(ShardingAttr sharding, int64_t kvHeads);

} // namespace grok::sharding
