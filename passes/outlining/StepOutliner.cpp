// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The walk over the step, and the ops outside attention and experts.
#include "passes/outlining/StepOutliner.h"

#include "dialects/plan/QuantizedRow.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

static double toDouble(const APFloat &value) { return value.convertToDouble(); }

static int64_t lengthOf(Value vector) { return typeOf(vector).getDimSize(0); }

/// What a linear layer is called in dumps and timings.
static StringRef nameOfLinear(StringRef path) {
  return path.contains("/multi_head_attention/linear/") ? "attention_output" : "linear";
}

FailureOr<Value> StepOutliner::bufferOf(Operation *user, Value value) {
  if (Value buffer = buffers.lookup(value))
    return buffer;
  return user->emitOpError("reads a value of type ")
         << value.getType() << " that no earlier launch of the step writes";
}

RowCodes grok::plan::codesOf(Value x) {
  auto format = dyn_cast_or_null<FormatAttr>(typeOf(x).getEncoding());
  if (!format)
    return {};
  return {format.getGroupRows(), QuantizedRow::digitsOf(format.getBits())};
}

FailureOr<ProductInput> StepOutliner::inputOf(Operation *user, Value x) {
  FailureOr<Value> buffer = bufferOf(user, x);
  if (failed(buffer))
    return failure();
  return ProductInput{*buffer, codesOf(x)};
}

KernelParams StepOutliner::makeParams(RowCodes input, DictionaryAttr weight) {
  KernelParams params(bucket.getContext());
  auto element = weight ? weight.getAs<StringAttr>("element") : StringAttr();
  bool isHalf = settings.numerics == "fast" && element && element.getValue() == "bf16";
  params.addText("numerics", input.unit || isHalf ? "fast" : settings.isLiteral() ? "bf16" : "f32");
  if (input.digits > 1)
    params.add("digits", input.digits);
  return params;
}

double StepOutliner::roundConstant(const APFloat &value) const {
  APFloat rounded = value;
  bool losesInfo;
  if (settings.isLiteral())
    rounded.convert(APFloat::BFloat(), APFloat::rmNearestTiesToEven, &losesInfo);
  return rounded.convertToDouble();
}

int64_t StepOutliner::countTiles(int64_t panels) const {
  return llvm::divideCeil(panels, settings.tilePanels);
}

/// The lookup reads the table in the order that the output projection wants.
static int64_t unitOfTable(Value table) {
  for (Operation *user : table.getUsers())
    if (auto unembed = dyn_cast<UnembedOp>(user))
      return codesOf(unembed.getX()).unit;
  return 0;
}

/// Tied embeddings are one tensor, packed with tokens as columns for both uses.
/// Scales must run along the contraction: one for each token.
FailureOr<PackedMatrix> StepOutliner::packTable(Operation *user, Value table, int64_t unit) {
  RankedTensorType type = typeOf(table);
  auto format = dyn_cast_or_null<FormatAttr>(type.getEncoding());
  if (type.getEncoding() && (!format || !format.getAlongLast()))
    return user->emitOpError("expects a table of f32, bf16 or of a format along the last axis");
  return layout.packMatrix(user, table, {.transposed = true, .unit = unit});
}

std::optional<int64_t> grok::plan::layerOfUsers(Value value) {
  for (Operation *user : value.getUsers())
    for (Value operand : user->getOperands())
      if (auto weight = operand.getDefiningOp<grok::WeightOp>())
        return layerOf(weight.getPath());
  return std::nullopt;
}

KernelParams StepOutliner::makeQuantizeParams(QuantizeOp op) {
  Builder builder(op.getContext());
  RowCodes codes = codesOf(op.getResult());
  KernelParams params = makeParams(codes);
  params.add("in", typeOf(op.getResult()).getShape().back())
      .add("weight", builder.getDictionaryAttr(
                         builder.getNamedAttr("unit", builder.getI64IntegerAttr(codes.unit))));
  return params;
}

RankedTensorType StepOutliner::recordsOf(QuantizeOp op) {
  RankedTensorType type = typeOf(op.getResult());
  RowCodes codes = codesOf(op.getResult());
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = QuantizedRow::of(shape.back(), codes.unit, codes.digits).bytes;
  return RankedTensorType::get(shape, IntegerType::get(op.getContext(), 8));
}

LogicalResult StepOutliner::outline(QuantizeOp op) {
  if (expertRows.contains(op.getX())) {
    quantizePairs(op);
    return success();
  }
  FailureOr<Value> x = bufferOf(op, op.getX());
  if (failed(x))
    return failure();
  RankedTensorType type = typeOf(op.getResult());
  int64_t perRow = type.getRank() == 3 ? type.getDimSize(1) : 1;
  std::optional<int64_t> layer = layerOfUsers(op.getResult());
  Location loc = op.getLoc();
  Value rows = bucket.addBuffer(loc, layer, "quantized", recordsOf(op));
  buffers[op.getResult()] = rows;
  if (chosen.contains(op.getX()))
    chosen.insert(op.getResult());
  bucket.addLaunch(loc, {.op = "quantize", .layer = layer, .tiles = bucket.countRows(perRow)},
                   makeQuantizeParams(op), {readRows(*x), writeRows(rows)});
  return success();
}

LogicalResult StepOutliner::outline(EmbedOp op) {
  FailureOr<PackedMatrix> table = packTable(op, op.getTable(), unitOfTable(op.getTable()));
  if (failed(table))
    return failure();
  Value h = bucket.addRows(op.getLoc(), std::nullopt, "h", {table->inputs});
  buffers[op.getResult()] = h;
  KernelParams params = makeParams();
  params.add("emb", table->inputs).add("vocab", table->columns).add("weight", table->format);
  params.addNumber("multiplier", roundConstant(op.getMultiplier()));
  SmallVector<LaunchOperand> operands{readWhole(bucket.addWeight(op.getLoc(), table->values)),
                                      readWhole(bucket.addWeight(op.getLoc(), table->scales)),
                                      writeRows(h)};
  if (op.getTokens().getDefiningOp<LocalTokensOp>()) {
    FailureOr<PackedTensor> first = layout.packFirst(op, op.getTable());
    if (failed(first))
      return failure();
    params.add("local_tokens", 1);
    operands.push_back(readWhole(bucket.addWeight(op.getLoc(), *first)));
  }
  bucket.addLaunch(op.getLoc(), {.op = "embed", .tiles = bucket.countRows()}, params, operands);
  return success();
}

LogicalResult StepOutliner::launchNorm(Operation *op, Value x, Value scale, double eps,
                                       std::optional<int64_t> layer, Value &normed) {
  FailureOr<Value> source = bufferOf(op, x);
  FailureOr<PackedTensor> packed = layout.packVector(op, scale);
  if (failed(source) || failed(packed))
    return failure();
  normed = bucket.addRows(op->getLoc(), layer, "x", {lengthOf(scale)});
  KernelParams params = makeParams();
  params.add("emb", lengthOf(scale)).addNumber("eps", eps);
  bucket.addLaunch(
      op->getLoc(), {.op = "rms_norm", .layer = layer, .tiles = bucket.countRows()}, params,
      {readRows(*source), readWhole(bucket.addWeight(op->getLoc(), *packed)), writeRows(normed)});
  return success();
}

LogicalResult StepOutliner::outline(RMSNormOp op) {
  FailureOr<grok::WeightOp> scale = findWeight(op, op.getScale());
  if (failed(scale))
    return failure();
  if (chosen.contains(op.getX()))
    chosen.insert(op.getResult());
  Value normed;
  if (failed(launchNorm(op, op.getX(), op.getScale(), toDouble(op.getEps()),
                        layerOf(scale->getPath()), normed)))
    return failure();
  buffers[op.getResult()] = normed;
  return success();
}

LogicalResult StepOutliner::outline(LinearOp op) {
  FailureOr<ProductInput> x = inputOf(op, op.getX());
  if (failed(x))
    return failure();
  FailureOr<PackedMatrix> weight = layout.packMatrix(op, op.getWeight(), {.unit = x->codes.unit});
  if (failed(weight))
    return failure();
  StringRef path = op.getWeight().getDefiningOp<grok::WeightOp>().getPath();
  std::optional<int64_t> layer = layerOf(path);
  StringRef name = nameOfLinear(path);
  Value y = bucket.addRows(op.getLoc(), layer, name, {weight->columns});
  buffers[op.getResult()] = y;
  KernelParams params = makeParams(x->codes, weight->format);
  params.add("max_rows", bucket.getMaxRows()).add("in", weight->inputs).add("out", weight->columns);
  params.add("tile_panels", settings.tilePanels).add("weight", weight->format);
  bucket.addLaunch(op.getLoc(),
                   {.op = "linear",
                    .name = name,
                    .layer = layer,
                    .tiles = bucket.countTiles(countTiles(weight->panels))},
                   params,
                   {readWhole(x->buffer), readPanels(bucket.addWeight(op.getLoc(), weight->values)),
                    readPanels(bucket.addWeight(op.getLoc(), weight->scales)), writePanels(y)});
  return success();
}

/// The residual is updated in place: nothing may read it afterwards.
static LogicalResult checkLastUse(FusedResidualNormOp op) {
  for (Operation *user : op.getResidual().getUsers()) {
    if (user == op || (user->isBeforeInBlock(op) && !isa<LogitRowsOp>(user)))
      continue;
    auto diagnostic = op.emitOpError(
        "expects to be the last op that reads the residual, which it updates in place");
    diagnostic.attachNote(user->getLoc()) << "the other reader";
    return diagnostic;
  }
  return success();
}

LogicalResult StepOutliner::outline(FusedResidualNormOp op) {
  FailureOr<Value> h = bufferOf(op, op.getResidual()), a = bufferOf(op, op.getX());
  FailureOr<PackedTensor> post = layout.packVector(op, op.getPost());
  FailureOr<PackedTensor> next = layout.packVector(op, op.getNext());
  if (failed(h) || failed(a) || failed(post) || failed(next) || failed(checkLastUse(op)))
    return failure();
  std::optional<int64_t> layer = layerOf(op.getPost().getDefiningOp<grok::WeightOp>().getPath());
  Location loc = op.getLoc();
  Value x = bucket.addRows(loc, layer, "x", {lengthOf(op.getPost())});
  buffers[op.getSum()] = *h;
  buffers[op.getNormed()] = x;
  KernelParams params = makeParams();
  params.add("emb", lengthOf(op.getPost())).addNumber("eps", toDouble(op.getEps()));
  if (int64_t parts = partsOf.lookup(op.getX()))
    params.add("parts", parts);
  bucket.addLaunch(loc, {.op = "residual_norm", .layer = layer, .tiles = bucket.countRows()},
                   params,
                   {updateRows(*h), readRows(*a), readWhole(bucket.addWeight(loc, *post)),
                    readWhole(bucket.addWeight(loc, *next)), writeRows(x)});
  return success();
}

/// No launch: the norm works on every row, unembed picks rows by the step.
LogicalResult StepOutliner::outline(LogitRowsOp op) {
  FailureOr<Value> x = bufferOf(op, op.getX());
  if (failed(x))
    return failure();
  for (Operation *user : op->getUsers())
    if (!isa<RMSNormOp, QuantizeOp, UnembedOp>(user))
      return user->emitOpError("reads chosen rows; expects only grok.rms_norm, grok.quantize and "
                               "grok.unembed after grok.logit_rows");
  buffers[op.getResult()] = *x;
  chosen.insert(op.getResult());
  return success();
}

LogicalResult StepOutliner::outline(UnembedOp op) {
  FailureOr<ProductInput> x = inputOf(op, op.getX());
  if (failed(x))
    return failure();
  FailureOr<PackedMatrix> table = packTable(op, op.getTable(), x->codes.unit);
  if (failed(table))
    return failure();
  if (!chosen.contains(op.getX()))
    return op.emitOpError(
        "expects rows chosen by grok.logit_rows; its kernel reads the step's logit rows");
  Location loc = op.getLoc();
  // A part of the vocabulary is gathered before it is what the step returns.
  bool isPart =
      llvm::any_of(op->getUsers(), [](Operation *user) { return isa<shard::AllGatherOp>(user); });
  Value logits = isPart ? bucket.addRows(loc, std::nullopt, "logits_part", {table->columns})
                        : bucket.addLogits(loc, table->columns);
  buffers[op.getResult()] = logits;
  KernelParams params = makeParams(x->codes, table->format);
  params.add("max_rows", bucket.getMaxRows())
      .add("emb", table->inputs)
      .add("vocab", table->columns);
  params.add("tile_panels", settings.tilePanels).add("weight", table->format);
  params.addNumber("multiplier", roundConstant(op.getMultiplier()));
  bucket.addLaunch(loc, {.op = "unembed", .tiles = bucket.countTiles(countTiles(table->panels))},
                   params,
                   {readWhole(x->buffer), readPanels(bucket.addWeight(loc, table->values)),
                    readPanels(bucket.addWeight(loc, table->scales)), writePanels(logits)});
  return success();
}

/// Rounding is part of a result's type; it must be the one kernels are made for.
static LogicalResult checkRounding(Operation &op, bool isLiteral) {
  if (isa<RouteOp, FusedGateUpOp, LocalTokensOp, LocalExpertsOp>(op)) // alike in both modes
    return success();
  for (Type type : op.getResultTypes())
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      if (tensor.getElementType().isBF16() != isLiteral)
        return op.emitOpError("has a result of type ")
               << type << " under grok.numerics = \"" << (isLiteral ? "bf16" : "f32") << "\"";
  return success();
}

LogicalResult StepOutliner::outlineOp(Operation &op) {
  if (isa<grok::WeightOp>(op))
    return success();
  if (failed(checkRounding(op, settings.isLiteral())))
    return failure();
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case<EmbedOp, QuantizeOp, RMSNormOp, LinearOp, FusedResidualNormOp, LogitRowsOp, UnembedOp,
            FusedQKVOp, FlashAttentionOp, AttentionOp, RouteOp, FusedGateUpOp, FusedDownCombineOp,
            shard::AllReduceOp, shard::AllGatherOp, CutColumnsOp, LocalTokensOp, LocalExpertsOp,
            ExpertMatmulOp, CombineOp, func::ReturnOp>([&](auto typed) { return outline(typed); })
      .Default([](Operation *other) {
        return other->emitOpError(
            "has no kernel; expects the fused form of the step (grok-fusion)");
      });
}

LogicalResult StepOutliner::outline(func::FuncOp step) {
  for (BlockArgument argument : step.getArguments())
    if (isa<CacheType>(argument.getType()))
      cache = argument;
  receiveArguments(step);
  for (Operation &op : step.getBody().front())
    if (failed(outlineOp(op)))
      return failure();
  return success();
}
