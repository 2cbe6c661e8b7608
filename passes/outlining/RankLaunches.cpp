// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a step of one rank does with the others: collectives, hand-over between
// stages, and the numbers of what the rank holds.
#include "passes/outlining/StepOutliner.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

/// Up to this size the sum over ranks is part of the kernel that reads it: every
/// rank gathers all parts. Above, each rank sums a share of the rows.
static constexpr int64_t longestGathered = 256 << 10; // bytes of one rank's part

/// Extents of one row.
static SmallVector<int64_t> rowOf(Value value) {
  return SmallVector<int64_t>(typeOf(value).getShape().drop_front());
}

FailureOr<StepOutliner::RankGroup> StepOutliner::groupOf(Operation *op,
                                                         ArrayRef<int16_t> axes) const {
  RankGroup group;
  // The grid is ep x tp, as ranks are numbered.
  for (int16_t axis : axes) {
    bool isExpert = axis == 0;
    group.over.push_back(isExpert ? "ep" : "tp");
    group.ranks *= isExpert ? settings.expertRanks : settings.tensorRanks;
  }
  if (axes.empty() || group.ranks < 2)
    return op->emitOpError("expects a group of at least two ranks of grok.sharding");
  return group;
}

/// Whether the sum is only read by kernels that add its parts themselves.
static bool isSummedByReaders(Value sum) {
  return llvm::all_of(sum.getUses(), [](OpOperand &use) {
    auto norm = dyn_cast<FusedResidualNormOp>(use.getOwner());
    return norm && use.get() == norm.getX() && norm.getX() != norm.getResidual();
  });
}

LogicalResult StepOutliner::outline(shard::AllReduceOp op) {
  FailureOr<Value> source = bufferOf(op, op.getInput());
  FailureOr<RankGroup> group = groupOf(op, op.getGridAxes());
  if (failed(source) || failed(group))
    return failure();
  if (op.getReduction() != shard::ReductionKind::Sum)
    return op.emitOpError("has no kernel; expects a sum");
  std::optional<int64_t> layer = layerOfUsers(op.getResult());
  SmallVector<int64_t> row = rowOf(op.getResult());
  int64_t bytes = cast<BufferType>(source->getType()).getBytes(bucket.getMaxRows());
  bool isGathered = isSummedByReaders(op.getResult()) && bytes <= longestGathered;
  if (isGathered)
    row.insert(row.begin(), group->ranks);
  Value target = bucket.addRows(op.getLoc(), layer, isGathered ? "parts" : "sum", row);
  buffers[op.getResult()] = target;
  if (isGathered)
    partsOf[op.getResult()] = group->ranks;
  bucket.addCollective(op.getLoc(), isGathered ? "all_gather" : "all_reduce", layer, group->over,
                       *source, target);
  return success();
}

/// Logits: the parts of the vocabulary side by side.
LogicalResult StepOutliner::outline(shard::AllGatherOp op) {
  FailureOr<Value> source = bufferOf(op, op.getInput());
  FailureOr<RankGroup> group = groupOf(op, op.getGridAxes());
  if (failed(source) || failed(group))
    return failure();
  int64_t columns = typeOf(op.getInput()).getShape().back();
  if (!op.getInput().getDefiningOp<UnembedOp>() || op.getGatherAxis() != 1)
    return op.emitOpError("has no kernel; expects to gather the columns of logits");
  if (columns % panelColumns != 0)
    return op.emitOpError("gathers parts of ")
           << columns << " tokens; expects a vocabulary of whole panels of " << panelColumns
           << " on each rank: give it fewer ranks";
  Value logits = bucket.addLogits(op.getLoc(), columns * group->ranks);
  bucket.addCollective(op.getLoc(), "all_gather", std::nullopt, group->over, *source, logits,
                       "logits");
  return success();
}

/// The rows stay as wide: their readers know the vocabulary.
LogicalResult StepOutliner::outline(CutColumnsOp op) {
  if (!op.getX().getDefiningOp<shard::AllGatherOp>())
    return op.emitOpError("has no kernel; expects to cut gathered logits");
  return success();
}

/// Part of the lookup that reads them.
LogicalResult StepOutliner::outline(LocalTokensOp op) {
  for (Operation *user : op->getUsers())
    if (!isa<EmbedOp>(user))
      return user->emitOpError("reads local tokens; expects only grok.embed to");
  return success();
}

LogicalResult StepOutliner::outline(LocalExpertsOp op) {
  auto gateUp = FusedGateUpOp();
  for (Operation *user : op->getUsers())
    gateUp = gateUp ? gateUp : dyn_cast<FusedGateUpOp>(user);
  if (!gateUp)
    return op.emitOpError("expects a grok.fused_gate_up that reads local experts");
  FailureOr<PackedTensor> slots = layout.packRankSlots(op, gateUp.getGate());
  if (failed(slots))
    return failure();
  ExpertShape shape{0, 0, typeOf(op.getExperts()).getDimSize(1), layerOfUsers(op.getResult())};
  FailureOr<Value> local = mapExperts(op, op.getExperts(), *slots, shape);
  if (failed(local))
    return failure();
  buffers[op.getResult()] = *local;
  return success();
}

/// Outputs of the experts apart, for ranks to sum before they are combined.
LogicalResult StepOutliner::outline(ExpertMatmulOp op) {
  auto rows = expertRows.find(op.getX());
  if (rows == expertRows.end())
    return op.emitOpError(
        "has no kernel of its own; expects rows of grok.fused_gate_up, or the fused form");
  RowCodes codes = codesOf(op.getX());
  std::optional<int64_t> layer = layerOf(op.getWeight().getDefiningOp<grok::WeightOp>().getPath());
  Location loc = op.getLoc();
  Value out = bucket.addRows(loc, layer, "experts_out", rowOf(op.getResult()));
  buffers[op.getResult()] = out;
  bool isFirst = true;
  for (const ExpertRows &subset : SmallVector<ExpertRows>(rows->second)) {
    FailureOr<PackedMatrix> down =
        layout.packMatrix(op, op.getWeight(), {.unit = codes.unit}, subset.subset);
    if (failed(down))
      return failure();
    ExpertShape shape{down->inputs, down->experts, subset.selected, layer};
    KernelParams params = makeExpertParams(shape, down->columns, *down, codes);
    params.add("separate", 1);
    if (!isFirst)
      params.add("accumulate", 1);
    // Its gates are not read: outputs stay unweighted.
    bucket.addLaunch(loc,
                     {.op = "down_combine",
                      .name = "down",
                      .layer = layer,
                      .tiles = bucket.countTiles(countTiles(down->panels))},
                     params,
                     {readWhole(subset.rows), readPanels(bucket.addWeight(loc, down->values)),
                      readPanels(bucket.addWeight(loc, down->scales)), readWhole(subset.groups),
                      readWhole(subset.groups), isFirst ? writePanels(out) : updatePanels(out)});
    isFirst = false;
  }
  return success();
}

LogicalResult StepOutliner::outline(CombineOp op) {
  FailureOr<Value> x = bufferOf(op, op.getX()), gates = bufferOf(op, op.getGates()),
                   experts = bufferOf(op, op.getExperts());
  if (failed(x) || failed(gates) || failed(experts))
    return failure();
  SmallVector<int64_t> row = rowOf(op.getX());
  std::optional<int64_t> layer = layerOfUsers(op.getResult());
  Value out = bucket.addRows(op.getLoc(), layer, "moe", {row.back()});
  buffers[op.getResult()] = out;
  KernelParams params = makeParams();
  params.add("emb", row.back()).add("selected", row.front());
  bucket.addLaunch(op.getLoc(), {.op = "combine", .layer = layer, .tiles = bucket.countRows()},
                   params, {readRows(*x), readRows(*gates), readRows(*experts), writeRows(out)});
  return success();
}

/// The residual that the stage before has sent.
void StepOutliner::receiveArguments(func::FuncOp step) {
  for (BlockArgument argument : step.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!settings.isStage || !type || !type.getElementType().isF32())
      continue;
    Value h = bucket.addRows(step.getLoc(), std::nullopt, "h", rowOf(argument));
    buffers[argument] = h;
    bucket.addCollective(step.getLoc(), "receive", std::nullopt, {"pp"}, Value(), h, "receive");
  }
}

static bool isLogits(Value value) {
  if (auto cut = value.getDefiningOp<CutColumnsOp>())
    value = cut.getX();
  return isa_and_present<UnembedOp, shard::AllGatherOp>(value.getDefiningOp());
}

LogicalResult StepOutliner::outline(func::ReturnOp op) {
  for (Value value : op.getOperands()) {
    if (isa<CacheType>(value.getType()) || isLogits(value))
      continue;
    if (!settings.isStage)
      return op.emitOpError("expects to return logits and the cache, found a value of type ")
             << value.getType();
    FailureOr<Value> residual = bufferOf(op, value);
    if (failed(residual))
      return failure();
    bucket.addCollective(op.getLoc(), "send", std::nullopt, {"pp"}, *residual, Value(), "send");
  }
  return success();
}
