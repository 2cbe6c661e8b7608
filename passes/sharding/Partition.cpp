// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From annotated edges to the program that every rank runs.
#include "passes/sharding/Annotations.h"
#include "passes/sharding/ModelShape.h"
#include "passes/sharding/Passes.h"
#include "passes/sharding/Reshard.h"

#include "dialects/grok/Slices.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace grok;
using namespace grok::sharding;
using shard::GridOp;
using shard::Sharding;

namespace grok {
#define GEN_PASS_DEF_PARTITION
#include "passes/sharding/Passes.h.inc"
} // namespace grok

namespace {

/// Builds the local program of one function beside it.
class LocalProgram {
public:
  LocalProgram(func::FuncOp function, GridOp grid, int64_t kvParts)
      : function(function), grid(grid), kvParts(kvParts), builder(function) {}

  LogicalResult build();
  func::FuncOp local;
  int64_t numReshards = 0;

private:
  FailureOr<Type> localType(Value value);
  LogicalResult buildArguments();
  FailureOr<Value> readOperand(OpOperand &operand);
  LogicalResult buildOp(Operation &op);

  func::FuncOp function;
  GridOp grid;
  int64_t kvParts;
  OpBuilder builder;
  IRMapping mapping;
  SymbolTableCollection symbols;
};

struct Partition : grok::impl::PartitionBase<Partition> {
  void runOnOperation() override;
};

} // namespace

static FailureOr<Sharding> shardingOf(Operation *op, shard::ShardOp shard) {
  if (!shard)
    return op->emitOpError("expects a sharding on every edge; run grok-check-sharding");
  return Sharding(shard.getSharding());
}

/// The type of an argument or result on each rank.
FailureOr<Type> LocalProgram::localType(Value value) {
  if (auto cache = dyn_cast<CacheType>(value.getType())) {
    if (cache.getKvHeads() % kvParts != 0)
      return function.emitOpError() << "expects " << kvParts << " parts to divide the "
                                    << cache.getKvHeads() << " kv heads of the cache";
    return Type(CacheType::get(cache.getContext(), cache.getLayers(), cache.getKvHeads() / kvParts,
                               cache.getHeadDim(), cache.getElementType()));
  }
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  if (!tensor)
    return value.getType();
  FailureOr<Sharding> sharding = shardingOf(function, annotationOf(value));
  if (failed(sharding))
    return failure();
  SmallVector<int64_t> parts;
  for (const Axes &axes : placementOf(*sharding, tensor.getRank()).splits)
    parts.push_back(axes.empty() ? 1 : shard::collectiveProcessGroupSize(axes, grid));
  FailureOr<RankedTensorType> type =
      partType(tensor, parts, [&] { return function.emitOpError(); });
  if (failed(type))
    return failure();
  return Type(*type);
}

LogicalResult LocalProgram::buildArguments() {
  SmallVector<Type> types;
  SmallVector<Location> locations;
  for (BlockArgument argument : function.getArguments()) {
    FailureOr<Type> type = localType(argument);
    if (failed(type))
      return failure();
    types.push_back(*type);
    locations.push_back(argument.getLoc());
  }
  // Results are set when the return is there.
  local = func::FuncOp::create(builder, function.getLoc(), function.getName(),
                               builder.getFunctionType(types, {}));
  Block *body = builder.createBlock(&local.getBody(), {}, types, locations);
  for (auto [argument, part] : llvm::zip_equal(function.getArguments(), body->getArguments()))
    mapping.map(argument, part);
  return success();
}

static bool isWeight(Value value) {
  if (auto dequantize = value.getDefiningOp<DequantizeOp>())
    return isWeight(dequantize.getCodes());
  if (auto shard = value.getDefiningOp<shard::ShardOp>())
    return isWeight(shard.getSrc());
  return value.getDefiningOp<WeightOp>() != nullptr;
}

/// The operand's part as its reader wants it.
FailureOr<Value> LocalProgram::readOperand(OpOperand &operand) {
  if (!isSharded(operand.get()))
    return mapping.lookup(operand.get());
  Operation *op = operand.getOwner();
  shard::ShardOp reader = annotationOf(operand);
  FailureOr<Sharding> wanted = shardingOf(op, reader);
  if (failed(wanted))
    return failure();
  auto maker = reader.getSrc().getDefiningOp<shard::ShardOp>();
  FailureOr<Sharding> made = shardingOf(op, maker);
  if (failed(made))
    return failure();
  Value whole = maker.getSrc();
  auto type = cast<RankedTensorType>(whole.getType());
  Placement from = placementOf(*made, type.getRank()), to = placementOf(*wanted, type.getRank());
  if (from == to)
    return mapping.lookup(whole);
  if (isWeight(whole))
    return op->emitOpError() << "would move operand " << operand.getOperandNumber()
                             << ", a weight, between ranks";
  ++numReshards;
  return reshard(builder, op->getLoc(), grid, mapping.lookup(whole), type, from, to);
}

LogicalResult LocalProgram::buildOp(Operation &op) {
  SmallVector<Value> operands;
  std::vector<Sharding> operandShardings, resultShardings;
  for (OpOperand &operand : op.getOpOperands()) {
    FailureOr<Value> value = readOperand(operand);
    if (failed(value))
      return failure();
    operands.push_back(*value);
    shard::ShardOp shard = isSharded(operand.get()) ? annotationOf(operand) : shard::ShardOp();
    operandShardings.push_back(shard ? Sharding(shard.getSharding()) : Sharding());
  }
  if (isa<func::ReturnOp>(op)) {
    func::ReturnOp::create(builder, op.getLoc(), operands);
    local.setFunctionType(builder.getFunctionType(local.getArgumentTypes(), TypeRange(operands)));
    return success();
  }
  for (OpResult result : op.getResults()) {
    Sharding sharding;
    if (isSharded(result)) {
      FailureOr<Sharding> found = shardingOf(&op, annotationOf(result));
      if (failed(found))
        return failure();
      sharding = *found;
    }
    resultShardings.push_back(sharding);
  }
  return cast<shard::ShardingInterface>(op).partition(operands, operandShardings, resultShardings,
                                                      mapping, symbols, builder);
}

LogicalResult LocalProgram::build() {
  if (failed(buildArguments()))
    return failure();
  for (Operation &op : function.getBody().front()) {
    if (isa<shard::ShardOp, shard::ShardingOp>(op))
      continue;
    if (failed(buildOp(op)))
      return failure();
    builder.setInsertionPointToEnd(&local.getBody().front());
  }
  return success();
}

/// The grid with one axis for all tensor ranks: parts and replicas of kv heads
/// are one group in every collective.
static LogicalResult mergeTensorAxes(ModuleOp module, GridOp grid) {
  ArrayRef<int64_t> shape = grid.getShape();
  if (shape.size() != 3)
    return success();
  WalkResult result = module.walk([&](Operation *op) {
    auto axes = op->getAttrOfType<shard::GridAxesAttr>("grid_axes");
    if (!axes)
      return WalkResult::advance();
    bool hasParts = llvm::is_contained(axes.asArrayRef(), 1);
    if (hasParts != llvm::is_contained(axes.asArrayRef(), 2)) {
      op->emitOpError("expects parts and replicas of kv heads in one collective");
      return WalkResult::interrupt();
    }
    SmallVector<int16_t> merged;
    if (llvm::is_contained(axes.asArrayRef(), 0))
      merged.push_back(0);
    if (hasParts)
      merged.push_back(1);
    op->setAttr("grid_axes", shard::GridAxesAttr::get(op->getContext(), merged));
    return WalkResult::advance();
  });
  grid.setShape({shape[0], shape[1] * shape[2]});
  return failure(result.wasInterrupted());
}

void Partition::runOnOperation() {
  ModuleOp module = getOperation();
  auto chosen = module->getAttrOfType<ShardingAttr>("grok.sharding");
  auto grid = module.lookupSymbol<GridOp>(ranksGrid);
  if (!chosen || !grid) {
    module.emitError() << "expects grok.sharding and the grid @" << ranksGrid;
    return signalPassFailure();
  }
  FailureOr<ModelShape> shape = shapeOf(module);
  if (failed(shape))
    return signalPassFailure();
  for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    if (function.isExternal())
      continue;
    LocalProgram program(function, grid, kvParts(chosen, shape->kvHeads));
    if (failed(program.build()))
      return signalPassFailure();
    program.local->setDiscardableAttrs(function->getDiscardableAttrDictionary());
    function.erase();
    numReshards += program.numReshards;
    ++numFunctions;
  }
  if (failed(mergeTensorAxes(module, grid)))
    return signalPassFailure();
}
