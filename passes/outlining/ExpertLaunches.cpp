// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Launches of the mixture of experts: choose, group rows by expert, multiply.
#include "dialects/plan/QuantizedRow.h"
#include "passes/outlining/StepOutliner.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

static int64_t countSelected(Value experts) { return typeOf(experts).getDimSize(1); }

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

FailureOr<Value> StepOutliner::mapExperts(Operation *op, Value experts, const PackedTensor &slots,
                                          const ExpertShape &shape) {
  FailureOr<Value> chosenExperts = bufferOf(op, experts);
  if (failed(chosenExperts))
    return failure();
  auto type = cast<BufferType>(chosenExperts->getType()).getTensor();
  Value local = bucket.addBuffer(op->getLoc(), shape.layer, "local_experts", type);
  KernelParams params = makeParams();
  params.add("experts", slots.type.getDimSize(0)).add("selected", shape.selected);
  bucket.addLaunch(op->getLoc(),
                   {.op = "map_experts", .layer = shape.layer, .tiles = bucket.countRows()}, params,
                   {readRows(*chosenExperts), readWhole(bucket.addWeight(op->getLoc(), slots)),
                    writeRows(local)});
  return local;
}

/// The rows of each expert, from which the expert matmuls take their tiles:
/// active experts, tiles of gate_up, pairs, ids, offsets, pairs (row, choice).
Value StepOutliner::groupRows(Operation *op, Value experts, const ExpertShape &shape) {
  int64_t pairs = bucket.getMaxRows() * shape.selected;
  auto type = RankedTensorType::get({4 + 2 * shape.experts + pairs},
                                    IntegerType::get(op->getContext(), 32));
  Value groups = bucket.addBuffer(op->getLoc(), shape.layer, "groups", type);
  KernelParams params = makeParams();
  params.add("ffn", shape.ffn).add("experts", shape.experts).add("selected", shape.selected);
  params.add("tile_panels", settings.tilePanels);
  bucket.addLaunch(op->getLoc(),
                   {.op = "group", .layer = shape.layer, .tiles = bucket.countTiles(1)}, params,
                   {readWhole(experts), writeWhole(groups)});
  return groups;
}

KernelParams StepOutliner::makeExpertParams(const ExpertShape &shape, int64_t emb,
                                            const PackedMatrix &matrix, RowCodes input) {
  KernelParams params = makeParams(input, matrix.format);
  params.add("max_rows", bucket.getMaxRows()).add("emb", emb).add("ffn", shape.ffn);
  params.add("experts", shape.experts).add("selected", shape.selected);
  params.add("tile_panels", settings.tilePanels).add("weight", matrix.format);
  return params;
}

LogicalResult StepOutliner::launchGateUp(FusedGateUpOp op, const ExpertSubset &subset,
                                         const ProductInput &x) {
  MatrixOrder order{.unit = x.codes.unit};
  FailureOr<PackedMatrix> gate = layout.packMatrix(op, op.getGate(), order, subset);
  FailureOr<PackedMatrix> up = layout.packMatrix(op, op.getUp(), order, subset);
  FailureOr<Value> experts = bufferOf(op, op.getExperts());
  if (failed(gate) || failed(up) || failed(experts))
    return failure();
  if (gate->format != up->format)
    return op.emitOpError("expects gate and up weights in one format, found ")
           << gate->format << " and " << up->format << "; quantize both alike";
  ExpertShape shape{gate->columns, gate->experts, countSelected(op.getExperts()),
                    layerOfWeight(op.getGate())};
  if (!subset.isWhole()) {
    FailureOr<PackedTensor> slots = layout.packSlots(op, op.getGate(), subset);
    if (succeeded(slots))
      experts = mapExperts(op, op.getExperts(), *slots, shape);
    if (failed(slots) || failed(experts))
      return failure();
  }
  Value groups = groupRows(op, *experts, shape);

  Location loc = op.getLoc();
  Value y = bucket.addRows(loc, shape.layer, "gate_up", {shape.selected, shape.ffn});
  expertRows[op.getResult()].push_back({subset, groups, y, shape.selected});
  int64_t active = std::min(shape.experts, bucket.getMaxRows() * shape.selected);
  TilesAttr tiles = bucket.countIn(/*operand=*/5, /*element=*/1, active * countTiles(gate->panels));
  bucket.addLaunch(loc, {.op = "gate_up", .layer = shape.layer, .tiles = tiles},
                   makeExpertParams(shape, gate->inputs, *gate, x.codes),
                   {readWhole(x.buffer), readPanels(bucket.addWeight(loc, gate->values)),
                    readPanels(bucket.addWeight(loc, gate->scales)),
                    readPanels(bucket.addWeight(loc, up->values)),
                    readPanels(bucket.addWeight(loc, up->scales)), readWhole(groups),
                    writePanels(y)});
  return success();
}

/// Experts that agree in the formats of all three matrices go together, so that
/// one grouping serves both products.
LogicalResult StepOutliner::outline(FusedGateUpOp op) {
  if (typeOf(op.getX()).getRank() != 2)
    return op.emitOpError("expects one row of x for each token");
  FailureOr<ProductInput> x = inputOf(op, op.getX());
  if (failed(x))
    return failure();
  for (const ExpertSubset &subset : subsetsOf(op))
    if (failed(launchGateUp(op, subset, *x)))
      return failure();
  return success();
}

/// One tile for each pair of the groups: not for those of experts elsewhere.
void StepOutliner::quantizePairs(QuantizeOp op) {
  Location loc = op.getLoc();
  for (ExpertRows rows : SmallVector<ExpertRows>(expertRows[op.getX()])) {
    KernelParams params = makeQuantizeParams(op);
    params.add("selected", rows.selected);
    std::optional<int64_t> layer = layerOfUsers(op.getResult());
    Value quantized = bucket.addBuffer(loc, layer, "quantized", recordsOf(op));
    TilesAttr tiles =
        bucket.countIn(/*operand=*/2, /*element=*/2, bucket.getMaxRows() * rows.selected);
    bucket.addLaunch(loc, {.op = "quantize", .layer = layer, .tiles = tiles}, params,
                     {readWhole(rows.rows), writePanels(quantized), readWhole(rows.groups)});
    rows.rows = quantized;
    expertRows[op.getResult()].push_back(rows);
  }
}

LogicalResult StepOutliner::launchDownCombine(FusedDownCombineOp op, const ExpertRows &rows,
                                              Value gates, Value &out) {
  RowCodes codes = codesOf(op.getX());
  FailureOr<PackedMatrix> down =
      layout.packMatrix(op, op.getDown(), {.unit = codes.unit}, rows.subset);
  if (failed(down))
    return failure();
  ExpertShape shape{down->inputs, down->experts, rows.selected, layerOfWeight(op.getDown())};
  KernelParams params = makeExpertParams(shape, down->columns, *down, codes);
  Location loc = op.getLoc();
  bool isFirst = !out;
  if (isFirst)
    out = bucket.addRows(loc, shape.layer, "moe", {down->columns});
  else
    params.add("accumulate", 1);
  bucket.addLaunch(loc,
                   {.op = "down_combine",
                    .layer = shape.layer,
                    .tiles = bucket.countTiles(countTiles(down->panels))},
                   params,
                   {readWhole(rows.rows), readPanels(bucket.addWeight(loc, down->values)),
                    readPanels(bucket.addWeight(loc, down->scales)), readWhole(rows.groups),
                    readWhole(gates), isFirst ? writePanels(out) : updatePanels(out)});
  return success();
}

LogicalResult StepOutliner::outline(FusedDownCombineOp op) {
  FailureOr<Value> gates = bufferOf(op, op.getGates());
  auto rows = expertRows.find(op.getX());
  if (failed(gates))
    return failure();
  if (rows == expertRows.end())
    return op.emitOpError("expects rows of grok.fused_gate_up, in the order of their experts");
  Value out;
  for (const ExpertRows &subset : SmallVector<ExpertRows>(rows->second))
    if (failed(launchDownCombine(op, subset, *gates, out)))
      return failure();
  buffers[op.getResult()] = out;
  return success();
}
