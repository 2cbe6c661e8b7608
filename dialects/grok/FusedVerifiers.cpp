// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What always holds for the fused ops: the rules of the ops they stand for.
#include "dialects/grok/ShapeRules.h"

using namespace mlir;
using namespace grok;

static LogicalResult checkProjection(FusedQKVOp op, StringRef name, Value weight, int64_t columns) {
  if (failed(checkRank(op, name, weight, 2)) ||
      failed(checkExtent(op, (name + " rows").str(), extentOf(weight, 0), extentOf(op.getX(), 1))))
    return failure();
  return checkExtent(op, (name + " columns").str(), extentOf(weight, 1), columns);
}

LogicalResult FusedQKVOp::verify() {
  CacheType cache = getCache().getType();
  int64_t kvColumns = cache.getKvHeads() * cache.getHeadDim();
  if (failed(checkRank(*this, "x", getX(), 2)) ||
      failed(checkRank(*this, "rotated", getRotated(), 2)) ||
      failed(checkRank(*this, "tokens", getTokens(), 1)) ||
      failed(checkRows(*this, {getX(), getTokens(), getRotated()})) ||
      failed(checkLayer(*this, cache, static_cast<int64_t>(getLayer()))) ||
      failed(checkProjection(*this, "query", getQuery(), extentOf(getRotated(), 1))) ||
      failed(checkProjection(*this, "key", getKey(), kvColumns)) ||
      failed(checkProjection(*this, "value", getValue(), kvColumns)) ||
      failed(
          checkExtent(*this, "head_dim", static_cast<int64_t>(getHeadDim()), cache.getHeadDim())) ||
      failed(checkRope(*this, getRotated(), static_cast<int64_t>(getHeadDim()), getBase())))
    return failure();
  if (cast<RankedTensorType>(getX().getType()).getElementType() !=
      cast<RankedTensorType>(getRotated().getType()).getElementType())
    return emitOpError() << "expects one activation type, found " << getX().getType() << " and "
                         << getRotated().getType();
  if (getNorm())
    return checkNorm(*this, getX(), getNorm(), getEps());
  return checkNumber(*this, "eps", getEps(), /*positive=*/true);
}

LogicalResult FlashAttentionOp::verify() {
  auto slice = static_cast<int64_t>(getKeySlice());
  if (slice < 1)
    return emitOpError() << "expects key_slice to be positive, found " << slice;
  return checkAttention(*this, getQuery(), getCache().getType(), static_cast<int64_t>(getLayer()),
                        getMultiplier(), getSoftcap());
}

LogicalResult FusedGateUpOp::verify() {
  auto gate = cast<RankedTensorType>(getGate().getType());
  auto up = cast<RankedTensorType>(getUp().getType());
  if (gate.getShape() != up.getShape())
    return emitOpError() << "expects gate and up of the same shape, found " << gate << " and "
                         << up;
  return checkExpertMatmul(*this, getX(), getGate(), getExperts(), getResult());
}

LogicalResult FusedDownCombineOp::verify() {
  if (failed(checkRank(*this, "x", getX(), 3)) || failed(checkRank(*this, "down", getDown(), 3)) ||
      failed(checkRank(*this, "gates", getGates(), 2)) ||
      failed(checkRank(*this, "experts", getExperts(), 2)) ||
      failed(checkRank(*this, "result", getResult(), 2)) ||
      failed(checkRows(*this, {getX(), getGates(), getExperts(), getResult()})) ||
      failed(checkExtent(*this, "down rows", extentOf(getDown(), 1), extentOf(getX(), 2))) ||
      failed(
          checkExtent(*this, "columns of gates", extentOf(getGates(), 1), extentOf(getX(), 1))) ||
      failed(checkExtent(*this, "columns of experts", extentOf(getExperts(), 1),
                         extentOf(getX(), 1))) ||
      failed(checkSelected(*this, getExperts())))
    return failure();
  return checkExtent(*this, "result columns", extentOf(getResult(), 1), extentOf(getDown(), 2));
}

LogicalResult FusedResidualNormOp::verify() {
  return checkNorm(*this, getX(), getPost(), getEps());
}
