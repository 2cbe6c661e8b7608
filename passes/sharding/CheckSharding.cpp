// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every edge has a sharding, and every op can be split.
#include "passes/sharding/Annotations.h"
#include "passes/sharding/Passes.h"

#include "dialects/grok/Factors.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_CHECKSHARDING
#include "passes/sharding/Passes.h.inc"
} // namespace grok

static LogicalResult checkGrid(Operation *op, shard::ShardOp shard) {
  auto sharding = shard.getSharding().getDefiningOp<shard::ShardingOp>();
  if (sharding && sharding.getGrid() == ranksGrid)
    return success();
  return op->emitOpError() << "expects shardings on grid @" << ranksGrid;
}

static LogicalResult checkEdges(Operation *op) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!sharding::isSharded(operand.get()))
      continue;
    shard::ShardOp shard = sharding::annotationOf(operand);
    if (!shard)
      return op->emitOpError() << "expects a sharding on operand " << operand.getOperandNumber();
    if (failed(checkGrid(op, shard)))
      return failure();
  }
  for (OpResult result : op->getResults()) {
    if (!sharding::isSharded(result))
      continue;
    shard::ShardOp shard = sharding::annotationOf(result);
    if (!shard)
      return op->emitOpError() << "expects a sharding on result " << result.getResultNumber()
                               << ", before any other use";
    if (failed(checkGrid(op, shard)))
      return failure();
  }
  return success();
}

static LogicalResult checkFunction(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (sharding::isSharded(argument) && !sharding::annotationOf(argument))
      return function.emitOpError() << "expects a sharding on argument " << argument.getArgNumber();
  for (Operation &op : function.getBody().front()) {
    if (isa<shard::ShardOp, shard::ShardingOp>(op))
      continue;
    if (!isa<func::ReturnOp>(op)) {
      if (!isa<shard::ShardingInterface>(op))
        return op.emitOpError("does not say how it may be sharded");
      if (isa<GrokDialect>(op.getDialect()) && failed(lettersOf(&op)))
        return failure();
    }
    if (failed(checkEdges(&op)))
      return failure();
  }
  return success();
}

namespace {

struct CheckSharding : grok::impl::CheckShardingBase<CheckSharding> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      if (failed(checkFunction(function)))
        return signalPassFailure();
      ++numFunctions;
    }
    markAllAnalysesPreserved();
  }
};

} // namespace
