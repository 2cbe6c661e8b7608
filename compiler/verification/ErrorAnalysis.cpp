// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/ErrorAnalysis.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

namespace grok::verification {

using interpreter::Cache;
using interpreter::Rounding;
using interpreter::Tensor;

static Rounding roundingOf(mlir::Type element) {
  return element.isBF16() ? Rounding::bf16 : Rounding::f32;
}

static Rounding roundingOf(mlir::Value value) {
  return roundingOf(mlir::cast<mlir::RankedTensorType>(value.getType()).getElementType());
}

// What bf16 loses against float32: one rounding to it is as many of float32.
static constexpr double roundingsOfBF16 = 0x1p16;

/// In fast numerics rows that meet bf16 weights may be rounded to bf16.
static double depthOf(mlir::Value weight, int64_t axis) {
  auto type = mlir::cast<mlir::RankedTensorType>(weight.getType());
  double depth = sumDepth(type, type.getDimSize(axis));
  auto module = weight.getParentRegion()->getParentOfType<mlir::ModuleOp>();
  auto numerics = module->getAttrOfType<mlir::StringAttr>(numericsName);
  bool isFast = numerics && numerics.getValue() == "fast";
  return isFast && type.getElementType().isBF16() ? depth + roundingsOfBF16 : depth;
}

/// Adds the result's own rounding and keeps the bound.
void ErrorAnalysis::finish(mlir::Value name, Bound bound) {
  Known &known = environment[name];
  addRounding(bound, known.tensor(), roundingOf(name));
  known.bound = std::move(bound);
}

void ErrorAnalysis::followProduct(mlir::Operation &op) {
  if (auto linear = mlir::dyn_cast<LinearOp>(op)) {
    const Known &x = get(linear.getX());
    return finish(linear.getResult(),
                  boundLinear(x.tensor(), x.bound, matrix(linear.getWeight()),
                              roundingOf(linear.getX()), depthOf(linear.getWeight(), 0)));
  }
  auto unembed = mlir::cast<UnembedOp>(op);
  Bound bound = boundUnembed(tensor(unembed.getX()), matrix(unembed.getTable()),
                             roundingOf(unembed.getX()), depthOf(unembed.getTable(), 1));
  auto multiplier = static_cast<float>(std::abs(unembed.getMultiplier().convertToDouble()));
  const Tensor &logits = tensor(unembed.getResult());
  Tensor sums = logits; // before the multiplier
  for (float &sum : sums.values)
    sum = multiplier == 0 ? 0 : sum / multiplier;
  addRounding(bound, sums, roundingOf(unembed.getResult()));
  for (size_t i = 0; i < bound.size(); ++i)
    bound[i] = bound[i] * multiplier + std::abs(logits.values[i]) * static_cast<float>(sumError(4));
  finish(unembed.getResult(), std::move(bound));
}

void ErrorAnalysis::followExperts(mlir::Operation &op) {
  if (auto product = mlir::dyn_cast<ExpertMatmulOp>(op)) {
    const Known &x = get(product.getX());
    Rounding weights = product.getBf16Weight() ? Rounding::bf16 : roundingOf(product.getX());
    return finish(product.getResult(),
                  boundExperts(x.tensor(), x.bound, matrix(product.getWeight()),
                               indices(product.getExperts()), weights,
                               depthOf(product.getWeight(), 1)));
  }
  if (auto gelu = mlir::dyn_cast<GeluGateOp>(op)) {
    const Known &gate = get(gelu.getGate()), &up = get(gelu.getUp());
    return finish(gelu.getResult(), boundGeluGate(gate.tensor(), gate.bound, up.tensor(), up.bound,
                                                  tensor(gelu.getResult())));
  }
  auto sum = mlir::cast<CombineOp>(op);
  const Known &x = get(sum.getX());
  finish(sum.getResult(),
         boundCombine(x.tensor(), x.bound, tensor(sum.getGates()), tensor(sum.getResult())));
}

void ErrorAnalysis::followRoute(RouteOp op) {
  RouterBound router = boundRoute(tensor(op.getX()), matrix(op.getWeight()));
  const Tensor &gates = tensor(op.getGates());
  Bound bound(gates.values.size());
  for (size_t i = 0; i < bound.size(); ++i)
    bound[i] = static_cast<float>(std::abs(double(gates.values[i])) *
                                  router.relative[i / size_t(gates.stride())]);
  finish(op.getGates(), std::move(bound));
  environment[op.getExperts()].router = std::move(router);
}

void ErrorAnalysis::followCacheWrite(CacheWriteOp op) {
  const Known &before = get(op.getCache());
  const Known &keys = get(op.getKeys()), &values = get(op.getValues());
  Known &after = environment[op.getResult()];
  const auto &cache = std::get<Cache>(after.value);
  CacheBound bound = before.cache ? *before.cache : CacheBound(cache.layers.size());
  CacheType type = op.getCache().getType();
  auto stored = [&](const Known &rows) {
    std::optional<interpreter::CodeForm> form = interpreter::codeFormOf(type.getElementType());
    return form ? boundQuantized(rows.tensor(), rows.bound, type.getHeadDim(), *form) : rows.bound;
  };
  boundCacheWrite(bound[op.getLayer()], *cache.layers[op.getLayer()], keys.tensor(), stored(keys),
                  stored(values), step(op.getStep()), roundingOf(type.getElementType()));
  after.cache = std::make_shared<const CacheBound>(std::move(bound));
}

void ErrorAnalysis::followAttention(AttentionOp op) {
  const Known &cache = get(op.getCache());
  CacheType type = op.getCache().getType();
  interpreter::AttentionParameters parameters{
      static_cast<int64_t>(op.getLayer()), type.getKvHeads(), type.getHeadDim(),
      op.getMultiplier().convertToDouble(), op.getSoftcap().convertToDouble()};
  finish(op.getResult(),
         boundAttention(tensor(op.getQuery()), *std::get<Cache>(cache.value).layers[op.getLayer()],
                        (*cache.cache)[op.getLayer()], step(op.getStep()), parameters,
                        roundingOf(op.getResult())));
}

void ErrorAnalysis::followRow(mlir::Operation &op) {
  llvm::TypeSwitch<mlir::Operation *>(&op)
      .Case([&](RMSNormOp norm) {
        const Known &x = get(norm.getX());
        finish(norm.getResult(),
               boundNorm(x.tensor(), x.bound, matrix(norm.getScale()),
                         norm.getEps().convertToDouble(), tensor(norm.getResult())));
      })
      .Case([&](RopeOp rope) {
        const Known &x = get(rope.getX());
        finish(rope.getResult(), boundRope(x.tensor(), x.bound, step(rope.getStep()),
                                           static_cast<int64_t>(rope.getHeadDim())));
      })
      .Case([&](AddOp add) {
        finish(add.getResult(),
               boundAdd(get(add.getLhs()).bound, get(add.getRhs()).bound, tensor(add.getResult())));
      });
  // Embedding is one rounded product on both sides, quantize the same float32
  // operations on the same input, and rows are only chosen by logit_rows: exact.
}

void ErrorAnalysis::follow(mlir::Operation &op,
                           llvm::ArrayRef<const interpreter::Value *> results) {
  for (auto [name, value] : llvm::zip_equal(op.getResults(), results))
    environment[name] = Known{*value, {}, nullptr, std::nullopt};
  llvm::TypeSwitch<mlir::Operation *>(&op)
      .Case<LinearOp, UnembedOp>([&](auto) { followProduct(op); })
      .Case<ExpertMatmulOp, GeluGateOp, CombineOp>([&](auto) { followExperts(op); })
      .Case([&](RouteOp route) { followRoute(route); })
      .Case([&](CacheWriteOp write) { followCacheWrite(write); })
      .Case([&](AttentionOp attention) { followAttention(attention); })
      .Default([&](mlir::Operation *) { followRow(op); });
}

} // namespace grok::verification
