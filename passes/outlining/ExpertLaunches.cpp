// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Launches of the mixture of experts: choose, group rows by expert, multiply.
#include "passes/outlining/StepOutliner.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

static int64_t countSelected(Value experts) {
  return cast<RankedTensorType>(experts.getType()).getDimSize(1);
}

static std::optional<int64_t> layerOfWeight(Value weight) {
  return layerOf(weight.getDefiningOp<grok::WeightOp>().getPath());
}

LogicalResult StepOutliner::outline(RouteOp op) {
  FailureOr<Value> x = bufferOf(op, op.getX());
  FailureOr<PackedMatrix> weight = layout.packMatrix(op, op.getWeight());
  if (failed(x) || failed(weight))
    return failure();
  std::optional<int64_t> layer = layerOfWeight(op.getWeight());
  int64_t selected = countSelected(op.getExperts());
  Location loc = op.getLoc();
  Builder builder(op.getContext());
  SmallVector<int64_t> shape{ShapedType::kDynamic, selected};
  Value gates =
      bucket.addBuffer(loc, layer, "gates", RankedTensorType::get(shape, builder.getF32Type()));
  Value experts =
      bucket.addBuffer(loc, layer, "experts", RankedTensorType::get(shape, builder.getI32Type()));
  buffers[op.getGates()] = gates;
  buffers[op.getExperts()] = experts;
  KernelParams params = makeParams();
  params.add("emb", weight->inputs).add("experts", weight->columns).add("selected", selected);
  bucket.addLaunch(loc, {.op = "route", .layer = layer, .tiles = bucket.countRows()}, params,
                   {readRows(*x), readWhole(bucket.addWeight(loc, weight->values)),
                    writeRows(gates), writeRows(experts)});
  return success();
}

/// The rows of each expert, from which the expert matmuls take their tiles:
/// active experts, tiles of gate_up, pairs, ids, offsets, pairs (row, choice).
FailureOr<Value> StepOutliner::groupRows(Operation *op, Value experts, const ExpertShape &shape) {
  Value &groups = groupings[{experts, shape.ffn}];
  if (groups)
    return groups;
  FailureOr<Value> chosenExperts = bufferOf(op, experts);
  if (failed(chosenExperts))
    return failure();
  int64_t pairs = bucket.getMaxRows() * shape.selected;
  auto type = RankedTensorType::get({4 + 2 * shape.experts + pairs},
                                    IntegerType::get(op->getContext(), 32));
  groups = bucket.addBuffer(op->getLoc(), shape.layer, "groups", type);
  KernelParams params = makeParams();
  params.add("ffn", shape.ffn).add("experts", shape.experts).add("selected", shape.selected);
  params.add("tile_panels", settings.tilePanels);
  bucket.addLaunch(op->getLoc(),
                   {.op = "group", .layer = shape.layer, .tiles = bucket.countTiles(1)}, params,
                   {readWhole(*chosenExperts), writeWhole(groups)});
  return groups;
}

KernelParams StepOutliner::makeExpertParams(const ExpertShape &shape, int64_t emb,
                                            const PackedMatrix &matrix, int64_t unit) {
  KernelParams params = makeParams(unit);
  params.add("max_rows", bucket.getMaxRows()).add("emb", emb).add("ffn", shape.ffn);
  params.add("experts", shape.experts).add("selected", shape.selected);
  params.add("tile_panels", settings.tilePanels).add("weight", matrix.format);
  return params;
}

LogicalResult StepOutliner::outline(FusedGateUpOp op) {
  if (cast<RankedTensorType>(op.getX().getType()).getRank() != 2)
    return op.emitOpError("expects one row of x for each token");
  FailureOr<ProductInput> x = inputOf(op, op.getX());
  if (failed(x))
    return failure();
  MatrixOrder order{.unit = x->unit};
  FailureOr<PackedMatrix> gate = layout.packMatrix(op, op.getGate(), order);
  FailureOr<PackedMatrix> up = layout.packMatrix(op, op.getUp(), order);
  if (failed(gate) || failed(up))
    return failure();
  if (gate->format != up->format)
    return op.emitOpError("expects gate and up weights in one format, found ")
           << gate->format << " and " << up->format << "; quantize both alike";
  ExpertShape shape{gate->columns, gate->experts, countSelected(op.getExperts()),
                    layerOfWeight(op.getGate())};
  FailureOr<Value> groups = groupRows(op, op.getExperts(), shape);
  if (failed(groups))
    return failure();

  Location loc = op.getLoc();
  Value y = bucket.addRows(loc, shape.layer, "gate_up", {shape.selected, shape.ffn});
  buffers[op.getResult()] = y;
  int64_t active = std::min(shape.experts, bucket.getMaxRows() * shape.selected);
  TilesAttr tiles = bucket.countIn(/*operand=*/5, /*element=*/1, active * countTiles(gate->panels));
  bucket.addLaunch(loc, {.op = "gate_up", .layer = shape.layer, .tiles = tiles},
                   makeExpertParams(shape, gate->inputs, *gate, x->unit),
                   {readWhole(x->buffer), readPanels(bucket.addWeight(loc, gate->values)),
                    readPanels(bucket.addWeight(loc, gate->scales)),
                    readPanels(bucket.addWeight(loc, up->values)),
                    readPanels(bucket.addWeight(loc, up->scales)), readWhole(*groups),
                    writePanels(y)});
  return success();
}

LogicalResult StepOutliner::outline(FusedDownCombineOp op) {
  FailureOr<ProductInput> y = inputOf(op, op.getX());
  FailureOr<Value> gates = bufferOf(op, op.getGates());
  if (failed(y) || failed(gates))
    return failure();
  FailureOr<PackedMatrix> down = layout.packMatrix(op, op.getDown(), {.unit = y->unit});
  if (failed(down))
    return failure();
  ExpertShape shape{down->inputs, down->experts, countSelected(op.getExperts()),
                    layerOfWeight(op.getDown())};
  FailureOr<Value> groups = groupRows(op, op.getExperts(), shape);
  if (failed(groups))
    return failure();
  Location loc = op.getLoc();
  Value out = bucket.addRows(loc, shape.layer, "moe", {down->columns});
  buffers[op.getResult()] = out;
  bucket.addLaunch(loc,
                   {.op = "down_combine",
                    .layer = shape.layer,
                    .tiles = bucket.countTiles(countTiles(down->panels))},
                   makeExpertParams(shape, down->columns, *down, y->unit),
                   {readWhole(y->buffer), readPanels(bucket.addWeight(loc, down->values)),
                    readPanels(bucket.addWeight(loc, down->scales)), readWhole(*groups),
                    readWhole(*gates), writePanels(out)});
  return success();
}
