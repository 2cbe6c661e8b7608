// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rules that several verifiers share.
#include "dialects/grok/ShapeRules.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace grok;

static RankedTensorType tensorOf(Value value) { return cast<RankedTensorType>(value.getType()); }

int64_t grok::extentOf(Value value, int64_t index) {
  RankedTensorType type = tensorOf(value);
  return type.getDimSize(index < 0 ? type.getRank() + index : index);
}

LogicalResult grok::checkRank(Operation *op, StringRef name, Value value, int64_t rank) {
  if (tensorOf(value).getRank() == rank)
    return success();
  return op->emitOpError() << "expects " << name << " of rank " << rank << ", found "
                           << value.getType();
}

LogicalResult grok::checkExtent(Operation *op, StringRef what, int64_t actual, int64_t expected) {
  if (ShapedType::isDynamic(actual) || ShapedType::isDynamic(expected) || actual == expected)
    return success();
  return op->emitOpError() << "expects " << what << " to be " << expected << ", found " << actual;
}

LogicalResult grok::checkRows(Operation *op, ValueRange values) {
  for (Value value : values.drop_front())
    if (failed(verifyCompatibleDims({extentOf(values.front(), 0), extentOf(value, 0)})))
      return op->emitOpError() << "expects equal row counts, found " << values.front().getType()
                               << " and " << value.getType();
  return success();
}

LogicalResult grok::checkLinear(Operation *op, Value x, Value weight, Value result) {
  if (failed(checkRank(op, "x", x, 2)) || failed(checkRank(op, "weight", weight, 2)) ||
      failed(checkRank(op, "result", result, 2)) || failed(checkRows(op, {x, result})) ||
      failed(checkExtent(op, "weight rows", extentOf(weight, 0), extentOf(x, 1))))
    return failure();
  return checkExtent(op, "result columns", extentOf(result, 1), extentOf(weight, 1));
}

LogicalResult grok::checkExpertMatmul(Operation *op, Value x, Value weight, Value experts,
                                      Value result) {
  int64_t xRank = tensorOf(x).getRank();
  if (xRank != 2 && xRank != 3)
    return op->emitOpError() << "expects x of rank 2 or 3, found " << x.getType();
  if (failed(checkRank(op, "weight", weight, 3)) || failed(checkRank(op, "experts", experts, 2)) ||
      failed(checkRank(op, "result", result, 3)) || failed(checkRows(op, {x, experts, result})) ||
      failed(checkExtent(op, "weight rows", extentOf(weight, 1), extentOf(x, -1))) ||
      failed(checkExtent(op, "result columns", extentOf(result, 2), extentOf(weight, 2))))
    return failure();
  int64_t selected = extentOf(experts, 1);
  if (failed(checkExtent(op, "selected experts of result", extentOf(result, 1), selected)) ||
      (xRank == 3 && failed(checkExtent(op, "selected experts of x", extentOf(x, 1), selected))))
    return failure();
  return checkSelected(op, experts);
}

LogicalResult grok::checkSelected(Operation *op, Value experts) {
  // There may be more than this rank has: the others are -1.
  if (extentOf(experts, 1) >= 1)
    return success();
  return op->emitOpError() << "expects 1 or more selected experts, found " << experts.getType();
}

LogicalResult grok::checkNumber(Operation *op, StringRef name, const APFloat &value,
                                bool positive) {
  if (value.isFinite() && (!positive || (!value.isZero() && !value.isNegative())))
    return success();
  return op->emitOpError() << "expects " << name << " to be "
                           << (positive ? "positive and finite" : "finite") << ", found "
                           << value.convertToDouble();
}

LogicalResult grok::checkNorm(Operation *op, Value x, Value scale, const APFloat &eps) {
  if (failed(checkRank(op, "x", x, 2)) || failed(checkRank(op, "scale", scale, 1)) ||
      failed(checkExtent(op, "scale length", extentOf(scale, 0), extentOf(x, 1))))
    return failure();
  return checkNumber(op, "eps", eps, /*positive=*/true);
}

LogicalResult grok::checkRope(Operation *op, Value x, int64_t headDim, const APFloat &base) {
  if (failed(checkRank(op, "x", x, 2)) || failed(checkNumber(op, "base", base, true)))
    return failure();
  if (headDim <= 0 || headDim % 2 != 0)
    return op->emitOpError() << "expects head_dim to be positive and even, found " << headDim;
  int64_t columns = extentOf(x, 1);
  if (ShapedType::isDynamic(columns) || columns % headDim != 0)
    return op->emitOpError() << "expects whole heads of " << headDim << " columns, found "
                             << x.getType();
  return success();
}

LogicalResult grok::checkLayer(Operation *op, CacheType cache, int64_t layer) {
  if (layer >= 0 && layer < cache.getLayers())
    return success();
  return op->emitOpError() << "expects a layer from 0 to " << cache.getLayers() - 1 << ", found "
                           << layer;
}

LogicalResult grok::checkAttention(Operation *op, Value query, CacheType cache, int64_t layer,
                                   const APFloat &multiplier, const APFloat &softcap) {
  if (failed(checkRank(op, "query", query, 2)) || failed(checkLayer(op, cache, layer)) ||
      failed(checkNumber(op, "multiplier", multiplier, false)) ||
      failed(checkNumber(op, "softcap", softcap, true)))
    return failure();
  int64_t columns = extentOf(query, 1);
  int64_t unit = cache.getKvHeads() * cache.getHeadDim();
  if (ShapedType::isDynamic(columns) || columns == 0 || columns % unit != 0)
    return op->emitOpError() << "expects query heads to be a multiple of the " << cache.getKvHeads()
                             << " kv heads of size " << cache.getHeadDim() << ", found "
                             << query.getType();
  return success();
}
