// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One function per pipeline stage, which pass the residual on.
#include "passes/sharding/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace grok;

namespace grok {
#define GEN_PASS_DEF_SPLITSTAGES
#include "passes/sharding/Passes.h.inc"
} // namespace grok

namespace {

/// The two values that go from one layer to the next.
struct Boundary {
  Value residual, cache;
};

/// Cuts `@step(tokens, step, cache) -> (logits, cache)` between layers.
class Splitter {
public:
  Splitter(func::FuncOp step, ArrayRef<int64_t> stages) : step(step), stages(stages) {}

  LogicalResult run();

private:
  LogicalResult findBoundaries();
  LogicalResult assignOps();
  LogicalResult assign(Value value, size_t stage);
  LogicalResult buildStage(size_t stage, int64_t firstLayer);

  func::FuncOp step;
  ArrayRef<int64_t> stages;
  SmallVector<Boundary> boundaries; // before stage i + 1
  llvm::DenseMap<Operation *, size_t> stageOf;
};

struct SplitStages : grok::impl::SplitStagesBase<SplitStages> {
  void runOnOperation() override;
};

} // namespace

/// What a layer reads: keys are rope(linear(rms_norm(residual))).
static FailureOr<Boundary> entryOf(CacheWriteOp write) {
  auto rope = write.getKeys().getDefiningOp<RopeOp>();
  auto key = rope ? rope.getX().getDefiningOp<LinearOp>() : LinearOp();
  auto norm = key ? key.getX().getDefiningOp<RMSNormOp>() : RMSNormOp();
  if (!norm)
    return write.emitOpError(
        "expects keys that are a rotated projection of a normed residual, to cut before its layer");
  return Boundary{norm.getX(), write.getCache()};
}

LogicalResult Splitter::findBoundaries() {
  SmallVector<CacheWriteOp> layers;
  for (auto write : step.getOps<CacheWriteOp>()) {
    if (static_cast<size_t>(write.getLayer()) != layers.size())
      return write.emitOpError() << "expects layer " << layers.size() << " next, found "
                                 << static_cast<int64_t>(write.getLayer());
    layers.push_back(write);
  }
  size_t layer = 0;
  for (int64_t count : stages.drop_back()) {
    layer += count;
    if (layer >= layers.size())
      return step.emitOpError() << "has " << layers.size() << " layers, fewer than its stages";
    FailureOr<Boundary> entry = entryOf(layers[layer]);
    if (failed(entry))
      return failure();
    boundaries.push_back(*entry);
  }
  return success();
}

/// `value` and all that it is made of, up to the boundary before `stage`.
/// Weights are wherever they are read.
LogicalResult Splitter::assign(Value value, size_t stage) {
  SmallVector<Value> open{value};
  while (!open.empty()) {
    Value next = open.pop_back_val();
    if (stage > 0 &&
        (next == boundaries[stage - 1].residual || next == boundaries[stage - 1].cache))
      continue;
    Operation *op = next.getDefiningOp();
    if (!op || isa<WeightOp>(op))
      continue;
    auto [known, isNew] = stageOf.try_emplace(op, stage);
    if (known->second != stage)
      return op->emitOpError() << "is read by stages " << known->second << " and " << stage
                               << ", which pass on nothing but the residual";
    if (isNew)
      llvm::append_range(open, op->getOperands());
  }
  return success();
}

LogicalResult Splitter::assignOps() {
  for (auto [stage, boundary] : llvm::enumerate(boundaries))
    if (failed(assign(boundary.residual, stage)) || failed(assign(boundary.cache, stage)))
      return failure();
  for (Value result : step.getBody().front().getTerminator()->getOperands())
    if (failed(assign(result, stages.size() - 1)))
      return failure();
  return success();
}

/// The op with layers counted from the stage's first, and its local cache.
static void localizeLayer(Operation *op, int64_t firstLayer) {
  auto layer = op->getAttrOfType<IntegerAttr>("layer");
  if (layer)
    op->setAttr("layer", IntegerAttr::get(layer.getType(), layer.getInt() - firstLayer));
  for (Value operand : op->getOperands())
    for (OpResult result : op->getResults())
      if (isa<CacheType>(operand.getType()) && isa<CacheType>(result.getType()))
        result.setType(operand.getType());
}

LogicalResult Splitter::buildStage(size_t stage, int64_t firstLayer) {
  Block &whole = step.getBody().front();
  auto cache = cast<CacheType>(whole.getArgument(2).getType());
  auto local = CacheType::get(cache.getContext(), stages[stage], cache.getKvHeads(),
                              cache.getHeadDim(), cache.getElementType());
  SmallVector<Type> inputs{whole.getArgument(0).getType(), whole.getArgument(1).getType(), local};
  if (stage > 0)
    inputs.push_back(boundaries[stage - 1].residual.getType());
  bool isLast = stage + 1 == stages.size();
  SmallVector<Value> results(whole.getTerminator()->getOperands());
  if (!isLast)
    results = {boundaries[stage].residual, boundaries[stage].cache};

  OpBuilder builder(step);
  auto function =
      func::FuncOp::create(builder, step.getLoc(), "stage" + std::to_string(stage),
                           builder.getFunctionType(inputs, {results.front().getType(), local}));
  Block *body = function.addEntryBlock();
  IRMapping mapping;
  mapping.map(whole.getArgument(0), body->getArgument(0));
  mapping.map(whole.getArgument(1), body->getArgument(1));
  mapping.map(stage > 0 ? boundaries[stage - 1].cache : Value(whole.getArgument(2)),
              body->getArgument(2));
  if (stage > 0)
    mapping.map(boundaries[stage - 1].residual, body->getArgument(3));

  builder.setInsertionPointToStart(body);
  for (Operation &op : whole.without_terminator()) {
    auto weight = dyn_cast<WeightOp>(op);
    bool isHere = weight ? llvm::any_of(weight->getUsers(),
                                        [&](Operation *user) {
                                          auto found = stageOf.find(user);
                                          return found != stageOf.end() && found->second == stage;
                                        })
                         : stageOf.contains(&op) && stageOf.lookup(&op) == stage;
    if (isHere)
      localizeLayer(builder.clone(op, mapping), firstLayer);
  }
  SmallVector<Value> returned;
  for (Value result : results)
    returned.push_back(mapping.lookup(result));
  func::ReturnOp::create(builder, step.getLoc(), returned);
  return success();
}

LogicalResult Splitter::run() {
  FunctionType type = step.getFunctionType();
  if (type.getNumInputs() != 3 || type.getNumResults() != 2 || !isa<CacheType>(type.getInput(2)) ||
      type.getResult(1) != type.getInput(2))
    return step.emitOpError("expects to go from (tokens, step, cache) to (logits, cache)");
  if (failed(findBoundaries()) || failed(assignOps()))
    return failure();
  int64_t firstLayer = 0;
  for (size_t stage = 0; stage < stages.size(); ++stage) {
    if (failed(buildStage(stage, firstLayer)))
      return failure();
    firstLayer += stages[stage];
  }
  step.erase();
  return success();
}

void SplitStages::runOnOperation() {
  ModuleOp module = getOperation();
  auto chosen = module->getAttrOfType<ShardingAttr>("grok.sharding");
  if (!chosen || chosen.getPp() == 1)
    return markAllAnalysesPreserved();
  auto step = module.lookupSymbol<func::FuncOp>("step");
  if (!step || step.isExternal()) {
    module.emitError("expects a function @step to split into stages");
    return signalPassFailure();
  }
  if (failed(Splitter(step, chosen.getStages()).run()))
    return signalPassFailure();
  numStages = chosen.getPp();
}
