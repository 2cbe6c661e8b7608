// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reading the shard.shard ops around an op.
#pragma once

#include "mlir/Dialect/Shard/IR/ShardOps.h"

namespace grok::sharding {

/// Values that carry a sharding.
inline bool isSharded(mlir::Value value) {
  return mlir::isa<mlir::RankedTensorType>(value.getType());
}

/// The annotation of an operand: what its reader wants; null if there is none.
inline mlir::shard::ShardOp annotationOf(mlir::OpOperand &operand) {
  auto shard = operand.get().getDefiningOp<mlir::shard::ShardOp>();
  return shard && shard.getAnnotateForUsers() ? shard : mlir::shard::ShardOp();
}

/// The annotation of a result or argument: what it is made as; null if it has
/// none or is read beside it.
inline mlir::shard::ShardOp annotationOf(mlir::Value value) {
  if (!value.hasOneUse())
    return {};
  auto shard = mlir::dyn_cast<mlir::shard::ShardOp>(*value.user_begin());
  return shard && !shard.getAnnotateForUsers() ? shard : mlir::shard::ShardOp();
}

} // namespace grok::sharding
