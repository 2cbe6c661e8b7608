// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fused ops as chains of plain ops: their meaning, and the way back from
// fusion for the interpreter and for tests.
#include "dialects/grok/GrokDialect.h"

using namespace mlir;
using namespace grok;

static Type elementOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementType();
}

static RankedTensorType withColumns(Value x, Value weight) {
  auto rows = cast<RankedTensorType>(x.getType());
  auto matrix = cast<RankedTensorType>(weight.getType());
  return RankedTensorType::get({rows.getDimSize(0), matrix.getDimSize(1)}, rows.getElementType());
}

SmallVector<Value> FusedQKVOp::decompose(OpBuilder &builder) {
  Location loc = getLoc();
  Value x = getX();
  if (getNorm())
    x = RMSNormOp::create(builder, loc, x.getType(), x, getNorm(), getEpsAttr());
  auto project = [&](Value weight) -> Value {
    return LinearOp::create(builder, loc, withColumns(x, weight), x, weight);
  };
  auto rotate = [&](Value heads) -> Value {
    return RopeOp::create(builder, loc, heads.getType(), heads, getStep(), getHeadDimAttr(),
                          getBaseAttr());
  };
  Value query = rotate(project(getQuery()));
  Value key = rotate(project(getKey()));
  Value value = project(getValue());
  Value cache = CacheWriteOp::create(builder, loc, getCache().getType(), getCache(), key, value,
                                     getTokens(), getStep(), getLayerAttr());
  return {query, cache};
}

SmallVector<Value> FlashAttentionOp::decompose(OpBuilder &builder) {
  return {AttentionOp::create(builder, getLoc(), getResult().getType(), getQuery(), getCache(),
                              getStep(), getLayerAttr(), getMultiplierAttr(), getSoftcapAttr())};
}

SmallVector<Value> FusedGateUpOp::decompose(OpBuilder &builder) {
  auto result = cast<RankedTensorType>(getResult().getType());
  Type hidden = RankedTensorType::get(result.getShape(), elementOf(getX()));
  auto multiply = [&](Value weight) -> Value {
    return ExpertMatmulOp::create(builder, getLoc(), hidden, getX(), weight, getExperts(),
                                  /*bf16_weight=*/false);
  };
  Value gate = multiply(getGate());
  Value up = multiply(getUp());
  return {GeluGateOp::create(builder, getLoc(), result, gate, up)};
}

SmallVector<Value> FusedDownCombineOp::decompose(OpBuilder &builder) {
  auto x = cast<RankedTensorType>(getX().getType());
  auto down = cast<RankedTensorType>(getDown().getType());
  Type hidden = RankedTensorType::get({x.getDimSize(0), x.getDimSize(1), down.getDimSize(2)},
                                      x.getElementType());
  bool isLiteral = elementOf(getResult()).isBF16();
  Value outputs = ExpertMatmulOp::create(builder, getLoc(), hidden, getX(), getDown(), getExperts(),
                                         /*bf16_weight=*/isLiteral);
  return {CombineOp::create(builder, getLoc(), getResult().getType(), outputs, getGates(),
                            getExperts())};
}

SmallVector<Value> FusedResidualNormOp::decompose(OpBuilder &builder) {
  Type type = getX().getType();
  Value normed = RMSNormOp::create(builder, getLoc(), type, getX(), getPost(), getEpsAttr());
  Value sum = AddOp::create(builder, getLoc(), type, getResidual(), normed);
  Value next = RMSNormOp::create(builder, getLoc(), type, sum, getNext(), getEpsAttr());
  return {sum, next};
}
