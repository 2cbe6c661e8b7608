// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CostInterface: bytes and floating-point operations of each op, from its types.
#include "dialects/grok/ShapeRules.h"

#include <algorithm>

using namespace mlir;
using namespace grok;

static int64_t bytesOf(Type element) { return element.getIntOrFloatBitWidth() / 8; }

// Elements of a tensor whose dynamic dimension is the row count.
static int64_t elementsOf(Value value, int64_t rows) {
  int64_t count = 1;
  for (int64_t extent : cast<RankedTensorType>(value.getType()).getShape())
    count *= ShapedType::isDynamic(extent) ? rows : extent;
  return count;
}

static int64_t activationBytes(ValueRange values, int64_t rows) {
  int64_t bytes = 0;
  for (Value value : values)
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      bytes += elementsOf(value, rows) * bytesOf(type.getElementType());
  return bytes;
}

// Codes, multipliers and scales of a run of elements. Codes below 8 bits are packed.
static int64_t formatBytes(FormatAttr format, int64_t count) {
  int64_t multipliers = format.getMultiplierRows() ? count / format.getMultiplierRows() : 0;
  return (count * format.getBits() + 7) / 8 + multipliers +
         count / format.getGroupRows() * bytesOf(format.getScale());
}

// A whole weight.
static int64_t weightBytes(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t count = type.getNumElements();
  if (auto format = dyn_cast_or_null<FormatAttr>(type.getEncoding()))
    return formatBytes(format, count);
  auto formats = dyn_cast_or_null<ExpertFormatsAttr>(type.getEncoding());
  if (!formats)
    return count * bytesOf(type.getElementType());
  int64_t bytes = 0;
  for (FormatAttr format : formats.getFormats())
    bytes += formatBytes(format, count / type.getDimSize(0));
  return bytes;
}

// As many of the experts' matrices as the rows can select.
static int64_t expertBytes(Value weight, Value experts, int64_t rows) {
  int64_t all = extentOf(weight, 0);
  return weightBytes(weight) / all * std::min(all, rows * extentOf(experts, 1));
}

static int64_t matmulFlops(Value weight, int64_t rows) {
  return 2 * rows * extentOf(weight, -2) * extentOf(weight, -1);
}

// One row's keys and values of one layer.
static int64_t cacheRowBytes(CacheType cache) {
  int64_t scaleBytes = cache.getElementType().isInteger(8) ? int64_t(sizeof(float)) : 0;
  return 2 * cache.getKvHeads() *
         (cache.getHeadDim() * bytesOf(cache.getElementType()) + scaleBytes);
}

// Scores and weighted sum of every query column with every key, and the cap.
static Cost attentionCost(Value query, CacheType cache, int64_t rows, int64_t context) {
  int64_t columns = extentOf(query, 1);
  int64_t heads = columns / cache.getHeadDim();
  return {0, activationBytes({query, query}, rows), rows * context * cacheRowBytes(cache),
          rows * context * (4 * columns + 8 * heads)};
}

// Squares, sum, scale and product: four operations per element.
static int64_t normFlops(Value x, int64_t rows) { return 4 * elementsOf(x, rows); }

Cost WeightOp::getCost(int64_t rows, int64_t context) { return {}; }

Cost DequantizeOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getCodes()), activationBytes(getResult(), rows), 0,
          elementsOf(getResult(), rows)};
}

Cost QuantizeOp::getCost(int64_t rows, int64_t context) {
  auto format = cast<FormatAttr>(getResult().getType().getEncoding());
  return {0, activationBytes(getX(), rows) + formatBytes(format, elementsOf(getX(), rows)), 0,
          4 * elementsOf(getX(), rows)};
}

Cost EmbedOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getTable()) / extentOf(getTable(), 0) * rows,
          activationBytes({getTokens(), getResult()}, rows), 0, elementsOf(getResult(), rows)};
}

Cost RMSNormOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getScale()), activationBytes({getX(), getResult()}, rows), 0,
          normFlops(getX(), rows)};
}

Cost LinearOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getWeight()), activationBytes({getX(), getResult()}, rows), 0,
          matmulFlops(getWeight(), rows)};
}

Cost RopeOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getX(), getResult()}, rows), 0, 3 * elementsOf(getX(), rows)};
}

Cost CacheWriteOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getKeys(), getValues(), getTokens()}, rows),
          rows * cacheRowBytes(getCache().getType()), 0};
}

Cost AttentionOp::getCost(int64_t rows, int64_t context) {
  return attentionCost(getQuery(), getCache().getType(), rows, context);
}

Cost RouteOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getWeight()), activationBytes({getX(), getGates(), getExperts()}, rows), 0,
          matmulFlops(getWeight(), rows)};
}

Cost ExpertMatmulOp::getCost(int64_t rows, int64_t context) {
  return {expertBytes(getWeight(), getExperts(), rows),
          activationBytes({getX(), getExperts(), getResult()}, rows), 0,
          matmulFlops(getWeight(), rows * extentOf(getExperts(), 1))};
}

Cost GeluGateOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getGate(), getUp(), getResult()}, rows), 0,
          9 * elementsOf(getResult(), rows)};
}

Cost CombineOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getX(), getGates(), getExperts(), getResult()}, rows), 0,
          2 * elementsOf(getX(), rows)};
}

Cost AddOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getLhs(), getRhs(), getResult()}, rows), 0,
          elementsOf(getResult(), rows)};
}

Cost LogitRowsOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getX(), getResult()}, rows), 0, 0};
}

Cost UnembedOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getTable()), activationBytes({getX(), getResult()}, rows), 0,
          matmulFlops(getTable(), rows) + elementsOf(getResult(), rows)};
}

// Choices and tokens are translated once for all that read them.
Cost LocalExpertsOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getExperts(), getResult()}, rows), 0, 0};
}

Cost LocalTokensOp::getCost(int64_t rows, int64_t context) {
  return {0, activationBytes({getTokens(), getResult()}, rows), 0, 0};
}

Cost CutColumnsOp::getCost(int64_t rows, int64_t context) {
  return {0, 2 * activationBytes({getResult()}, rows), 0, 0};
}

Cost FusedQKVOp::getCost(int64_t rows, int64_t context) {
  Cost cost;
  for (Value weight : {getQuery(), getKey(), getValue()}) {
    cost.weightBytes += weightBytes(weight);
    cost.flops += matmulFlops(weight, rows);
  }
  if (getNorm()) {
    cost.weightBytes += weightBytes(getNorm());
    cost.flops += normFlops(getX(), rows);
  }
  cost.activationBytes = activationBytes({getX(), getTokens(), getRotated()}, rows);
  cost.cacheBytes = rows * cacheRowBytes(getCache().getType());
  cost.flops += 3 * rows * (extentOf(getQuery(), 1) + extentOf(getKey(), 1)); // RoPE
  return cost;
}

Cost FlashAttentionOp::getCost(int64_t rows, int64_t context) {
  return attentionCost(getQuery(), getCache().getType(), rows, context);
}

Cost FusedGateUpOp::getCost(int64_t rows, int64_t context) {
  int64_t pairs = rows * extentOf(getExperts(), 1);
  return {expertBytes(getGate(), getExperts(), rows) + expertBytes(getUp(), getExperts(), rows),
          activationBytes({getX(), getExperts(), getResult()}, rows), 0,
          matmulFlops(getGate(), pairs) + matmulFlops(getUp(), pairs) +
              9 * elementsOf(getResult(), rows)};
}

Cost FusedDownCombineOp::getCost(int64_t rows, int64_t context) {
  int64_t pairs = rows * extentOf(getExperts(), 1);
  return {expertBytes(getDown(), getExperts(), rows),
          activationBytes({getX(), getGates(), getExperts(), getResult()}, rows), 0,
          matmulFlops(getDown(), pairs) + 2 * pairs * extentOf(getDown(), 2)};
}

Cost FusedResidualNormOp::getCost(int64_t rows, int64_t context) {
  return {weightBytes(getPost()) + weightBytes(getNext()),
          activationBytes({getResidual(), getX(), getSum(), getNormed()}, rows), 0,
          2 * normFlops(getX(), rows) + elementsOf(getX(), rows)};
}
