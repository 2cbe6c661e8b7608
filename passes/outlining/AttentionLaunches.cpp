// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Launches that write and read the key/value cache.
#include "passes/outlining/StepOutliner.h"

using namespace mlir;
using namespace grok;
using namespace grok::plan;

void StepOutliner::addCacheParams(KernelParams &params, int64_t queryHeads) const {
  params.addText("kv", settings.kv).add("q_heads", queryHeads);
  params.add("kv_heads", settings.cache.getKvHeads()).add("head_dim", settings.cache.getHeadDim());
  params.add("layers", settings.cache.getLayers()).add("page_tokens", settings.pageTokens);
  params.add("max_context", settings.maxContext);
}

/// The cache is memory: an op that reads an older value of it cannot be kept.
LogicalResult StepOutliner::checkCache(Operation *op, Value used) {
  if (used == cache)
    return success();
  return op->emitOpError("expects the cache as last written; the plan updates it in place");
}

static LogicalResult checkEqualFormats(FusedQKVOp op, const PackedMatrix &query,
                                       const PackedMatrix &key, const PackedMatrix &value) {
  if (query.format == key.format && query.format == value.format)
    return success();
  return op.emitOpError("expects query, key and value weights in one format, found ")
         << query.format << ", " << key.format << " and " << value.format
         << "; quantize the three alike";
}

LogicalResult StepOutliner::outline(FusedQKVOp op) {
  int64_t layer = settings.firstLayer + static_cast<int64_t>(op.getLayer());
  auto headDim = static_cast<int64_t>(op.getHeadDim());
  FailureOr<ProductInput> x = ProductInput{};
  if (!op.getNorm())
    x = inputOf(op, op.getX());
  if (failed(x) || failed(checkCache(op, op.getCache())) ||
      (op.getNorm() && failed(launchNorm(op, op.getX(), op.getNorm(), op.getEps().convertToDouble(),
                                         layer, x->buffer))))
    return failure();
  MatrixOrder order{.columnGroup = headDim, .unit = x->codes.unit};
  FailureOr<PackedMatrix> query = layout.packMatrix(op, op.getQuery(), order);
  FailureOr<PackedMatrix> key = layout.packMatrix(op, op.getKey(), order);
  FailureOr<PackedMatrix> value = layout.packMatrix(op, op.getValue(), order);
  FailureOr<PackedTensor> rope =
      layout.packRope(op, settings.maxContext, headDim, op.getBase().convertToDouble());
  if (failed(query) || failed(key) || failed(value) || failed(rope) ||
      failed(checkEqualFormats(op, *query, *key, *value)))
    return failure();

  int64_t queryHeads = query->columns / headDim;
  Location loc = op.getLoc();
  Value q = bucket.addRows(loc, layer, "q", {queryHeads, headDim});
  buffers[op.getRotated()] = q;
  cache = op.getUpdated();
  KernelParams params = makeParams(x->codes, query->format);
  addCacheParams(params, queryHeads);
  params.add("max_rows", bucket.getMaxRows())
      .add("emb", query->inputs)
      .add("weight", query->format);
  SmallVector<LaunchOperand> operands{readWhole(x->buffer)};
  for (const PackedMatrix *matrix : {&*query, &*key, &*value}) {
    operands.push_back(readPanels(bucket.addWeight(loc, matrix->values)));
    operands.push_back(readPanels(bucket.addWeight(loc, matrix->scales)));
  }
  operands.push_back(readWhole(bucket.addWeight(loc, *rope)));
  operands.push_back(writePanels(q));
  operands.push_back(writePanels(bucket.addCache(loc, layer, settings.layerBytes)));
  TilesAttr heads = bucket.countTiles(queryHeads + 2 * settings.cache.getKvHeads());
  bucket.addLaunch(loc, {.op = "qkv", .layer = layer, .tiles = heads}, params, operands);
  return success();
}

LogicalResult StepOutliner::launchAttention(Operation *op, Value query, Value result,
                                            int64_t inStage, KernelParams params) {
  FailureOr<Value> q = bufferOf(op, query);
  if (failed(q))
    return failure();
  Location loc = op->getLoc();
  int64_t layer = settings.firstLayer + inStage;
  Value o = bucket.addRows(loc, layer, "attention", {typeOf(query).getDimSize(1)});
  buffers[result] = o;
  Value pages = bucket.addCache(loc, layer, settings.layerBytes);
  TilesAttr tiles = bucket.countRows(settings.cache.getKvHeads());
  bucket.addLaunch(loc, {.op = "attention", .layer = layer, .tiles = tiles}, params,
                   {readRows(*q), readWhole(pages), writeRows(o)});
  return success();
}

static int64_t countHeads(Value query, CacheType cache) {
  return typeOf(query).getDimSize(1) / cache.getHeadDim();
}

/// In the fast mode tensor cores may make its products, of numbers rounded to bf16.
KernelParams StepOutliner::makeAttentionParams(Value query) const {
  KernelParams params(query.getContext());
  params.addText("numerics", settings.numerics);
  addCacheParams(params, countHeads(query, settings.cache));
  if (settings.rowAttention && settings.numerics == "fast" && bucket.getMaxRows() == 1)
    params.add("max_rows", 1);
  return params;
}

LogicalResult StepOutliner::outline(FlashAttentionOp op) {
  auto keySlice = static_cast<int64_t>(op.getKeySlice());
  if (settings.isLiteral())
    return op.emitOpError(
        "has no kernel under grok.numerics = \"bf16\"; expects grok.attention, in two passes");
  if (keySlice % settings.pageTokens != 0)
    return op.emitOpError("expects page-tokens, ")
           << settings.pageTokens << ", to divide key_slice, " << keySlice;
  if (failed(checkCache(op, op.getCache())))
    return failure();
  KernelParams params = makeAttentionParams(op.getQuery());
  params.add("key_slice", keySlice).addNumber("multiplier", op.getMultiplier().convertToDouble());
  params.addNumber("softcap", op.getSoftcap().convertToDouble());
  return launchAttention(op, op.getQuery(), op.getResult(), op.getLayer(), params);
}

LogicalResult StepOutliner::outline(AttentionOp op) {
  if (!settings.isLiteral())
    return op.emitOpError(
        "has no kernel under grok.numerics = \"f32\"; expects grok.flash_attention");
  if (failed(checkCache(op, op.getCache())))
    return failure();
  KernelParams params = makeAttentionParams(op.getQuery());
  params.addNumber("multiplier", op.getMultiplier().convertToDouble());
  params.addNumber("softcap", op.getSoftcap().convertToDouble());
  return launchAttention(op, op.getQuery(), op.getResult(), op.getLayer(), params);
}
