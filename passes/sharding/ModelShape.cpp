// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The numbers of a model that ranks may divide among them.
#include "passes/sharding/ModelShape.h"

#include "passes/sharding/LayerKinds.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace mlir;
using namespace grok;
using namespace grok::sharding;

/// Slices of a contraction that the reproducible order of sums knows: each rank
/// sums a whole subtree of them.
static constexpr int64_t reproducibleSlices = 16;

static int64_t extentOf(Value value, int64_t dim) {
  return cast<RankedTensorType>(value.getType()).getDimSize(dim);
}

// Sets a number the first time and compares it afterwards.
static LogicalResult agree(Operation *op, StringRef what, int64_t &known, int64_t found) {
  if (known != 0 && known != found)
    return op->emitOpError() << "expects as many " << what << " as elsewhere, " << known
                             << ", found " << found;
  known = found;
  return success();
}

static LogicalResult readOp(Operation *op, ModelShape &shape) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](AttentionOp attention) {
        CacheType cache = attention.getCache().getType();
        shape.layers = cache.getLayers();
        shape.headSize = cache.getHeadDim();
        if (failed(agree(op, "kv heads", shape.kvHeads, cache.getKvHeads())))
          return failure();
        return agree(op, "query heads", shape.queryHeads,
                     extentOf(attention.getQuery(), 1) / cache.getHeadDim());
      })
      .Case([&](ExpertMatmulOp matmul) {
        bool isDown = cast<RankedTensorType>(matmul.getX().getType()).getRank() == 3;
        shape.selected = extentOf(matmul.getExperts(), 1);
        if (failed(agree(op, "experts", shape.experts, extentOf(matmul.getWeight(), 0))))
          return failure();
        return agree(op, "hidden columns", shape.hidden,
                     extentOf(matmul.getWeight(), isDown ? 1 : 2));
      })
      .Case([&](EmbedOp embed) {
        shape.width = extentOf(embed.getTable(), 1);
        return agree(op, "tokens", shape.vocabulary, extentOf(embed.getTable(), 0));
      })
      .Case([&](UnembedOp unembed) {
        return agree(op, "tokens", shape.vocabulary, extentOf(unembed.getTable(), 0));
      })
      .Case([&](FusedInterface) {
        return op->emitOpError("expects plain ops: a model is sharded before it is fused");
      })
      .Default([](Operation *) { return success(); });
}

FailureOr<ModelShape> sharding::shapeOf(ModuleOp module) {
  ModelShape shape;
  WalkResult result = module.walk([&](Operation *op) {
    return failed(readOp(op, shape)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  return shape;
}

std::optional<std::string> sharding::findObstacle(ModuleOp module, const ModelShape &shape,
                                                  ShardingAttr sharding) {
  int64_t tp = sharding.getTp(), ep = sharding.getEp();
  int64_t layers = 0;
  for (int64_t stage : sharding.getStages())
    layers += stage;
  if (layers != shape.layers)
    return llvm::formatv("its stages hold {0} layers, the model has {1}", layers, shape.layers);
  if (shape.queryHeads % tp != 0)
    return llvm::formatv("tp {0} does not divide {1} query heads", tp, shape.queryHeads);
  if (shape.kvHeads % tp != 0 && tp % shape.kvHeads != 0)
    return llvm::formatv("tp {0} neither divides nor is divided by {1} kv heads", tp,
                         shape.kvHeads);
  if (shape.experts % ep != 0 || (shape.experts == 0 && ep > 1))
    return llvm::formatv("ep {0} does not divide {1} experts", ep, shape.experts);
  for (auto [what, extent] :
       {std::pair("tokens of the vocabulary", shape.vocabulary), {"hidden columns", shape.hidden}})
    if (extent != 0 && extent < tp)
      return llvm::formatv("tp {0} is more than {1} {2}", tp, extent, what);
  if (!hiddenLayersOf(module).empty()) {
    if (shape.hidden != 0 && shape.hidden < tp * ep)
      return llvm::formatv("ep {0} times tp {1} is more than {2} hidden columns", ep, tp,
                           shape.hidden);
    if (module->hasAttr("grok.reproducible") && reproducibleSlices % (tp * ep) != 0)
      return llvm::formatv(
          "ep {0} times tp {1} does not divide the {2} slices of reproducible sums", ep, tp,
          reproducibleSlices);
  }
  auto numerics = module->getAttrOfType<StringAttr>("grok.numerics");
  if (numerics && numerics == "bf16" && (tp > 1 || ep > 1))
    return "bf16 numerics round sums that ranks of tp or ep share, use f32";
  if (module->hasAttr("grok.reproducible") && reproducibleSlices % tp != 0)
    return llvm::formatv("tp {0} does not divide the {1} slices of reproducible sums", tp,
                         reproducibleSlices);
  return std::nullopt;
}

int64_t sharding::kvParts(ShardingAttr sharding, int64_t kvHeads) {
  return kvHeads == 0 ? sharding.getTp() : std::min(sharding.getTp(), kvHeads);
}
