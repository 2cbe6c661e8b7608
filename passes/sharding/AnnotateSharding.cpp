// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes a sharding on every edge of the graph.
#include "passes/sharding/LayerKinds.h"
#include "passes/sharding/ModelShape.h"
#include "passes/sharding/Passes.h"

#include "dialects/grok/Factors.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;
using shard::GridAxesAttr;
using shard::GridAxis;

namespace grok {
#define GEN_PASS_DEF_ANNOTATESHARDING
#include "passes/sharding/Passes.h.inc"
} // namespace grok

namespace {

using Axes = SmallVector<GridAxis, 2>;
/// Axes of each dimension.
using Splits = SmallVector<Axes>;

/// The grid of one stage and which of its axes split what. Where kv heads are
/// fewer than tensor ranks, the axis of these is two: one of parts, one of
/// replicas.
struct RankAxes {
  SmallVector<int64_t> shape;
  Axes experts, tensor, kv;

  RankAxes(ShardingAttr sharding, int64_t kvHeads);
};

/// Annotates one function.
class Annotator {
public:
  Annotator(func::FuncOp function, const RankAxes &axes, ArrayRef<int64_t> hiddenLayers)
      : function(function), axes(axes), hiddenLayers(hiddenLayers), builder(function.getContext()),
        firstOp(&function.getBody().front().front()) {}

  LogicalResult run();
  int64_t countEdges() const { return numEdges; }

private:
  llvm::SmallDenseMap<char, Axes> splitFactors(Operation *op);
  Axes expertAxes() const;
  Axes hiddenAxes() const;
  LogicalResult planOp(Operation *op);
  void planSources();
  Value sharding(const Splits &splits);
  void annotateValue(Value value, const Splits &splits);

  func::FuncOp function;
  const RankAxes &axes;
  ArrayRef<int64_t> hiddenLayers;
  int64_t layer = 0; // of the last attention: experts come after that of theirs
  OpBuilder builder;
  Operation *firstOp; // shardings and annotated arguments stand before it
  llvm::DenseMap<const OpOperand *, Splits> wanted;
  llvm::DenseMap<Value, Splits> made;
  SmallVector<std::pair<Splits, Value>> shardings; // one op for each
  int64_t numEdges = 0;
};

struct AnnotateSharding : grok::impl::AnnotateShardingBase<AnnotateSharding> {
  void runOnOperation() override;
};

} // namespace

RankAxes::RankAxes(ShardingAttr sharding, int64_t kvHeads) {
  int64_t tp = sharding.getTp(), parts = sharding::kvParts(sharding, kvHeads);
  shape = {sharding.getEp(), tp};
  if (parts > 1 && parts < tp)
    shape = {sharding.getEp(), parts, tp / parts};
  if (sharding.getEp() > 1)
    experts = {0};
  if (tp > 1)
    tensor = shape.size() == 3 ? Axes{1, 2} : Axes{1};
  if (parts > 1)
    kv = {1};
}

static bool isKeyOrValue(Value heads) {
  return llvm::any_of(heads.getUsers(), [](Operation *user) { return isa<CacheWriteOp>(user); });
}

Axes Annotator::expertAxes() const {
  return llvm::is_contained(hiddenLayers, layer) ? Axes() : axes.experts;
}

Axes Annotator::hiddenAxes() const {
  if (!llvm::is_contained(hiddenLayers, layer))
    return axes.tensor;
  Axes all = axes.experts;
  llvm::append_range(all, axes.tensor);
  return all;
}

/// Which factors of an op are split, by the part that it plays.
llvm::SmallDenseMap<char, Axes> Annotator::splitFactors(Operation *op) {
  llvm::SmallDenseMap<char, Axes> split;
  auto headAxes = [&](Value heads) { return isKeyOrValue(heads) ? axes.kv : axes.tensor; };
  llvm::TypeSwitch<Operation *>(op)
      .Case<EmbedOp, UnembedOp>([&](auto) { split['v'] = axes.tensor; })
      .Case([&](LinearOp linear) {
        if (linear.getX().getDefiningOp<AttentionOp>())
          split['i'] = axes.tensor;
        for (Operation *user : linear->getUsers())
          if (auto rope = dyn_cast<RopeOp>(user))
            split['o'] = headAxes(rope.getResult());
        if (isKeyOrValue(linear.getResult()))
          split['o'] = axes.kv;
      })
      .Case([&](RopeOp rope) { split['h'] = headAxes(rope.getResult()); })
      .Case([&](CacheWriteOp) { split['h'] = axes.kv; })
      .Case([&](AttentionOp attention) {
        layer = attention.getLayer();
        split['q'] = axes.tensor;
      })
      .Case([&](ExpertMatmulOp matmul) {
        bool isDown = cast<RankedTensorType>(matmul.getX().getType()).getRank() == 3;
        split['x'] = expertAxes();
        split[isDown ? 'i' : 'o'] = hiddenAxes();
      })
      .Case([&](GeluGateOp gelu) {
        auto type = cast<RankedTensorType>(gelu.getType());
        split[static_cast<char>('A' + type.getRank() - 1)] = hiddenAxes();
      });
  return split;
}

static Splits splitsOf(StringRef letters, const llvm::SmallDenseMap<char, Axes> &split) {
  Splits splits;
  for (char letter : letters)
    splits.push_back(split.lookup(letter));
  return splits;
}

LogicalResult Annotator::planOp(Operation *op) {
  if (isa<WeightOp, DequantizeOp>(op))
    return success(); // as their readers want them
  if (isa<func::ReturnOp>(op)) {
    for (OpOperand &operand : op->getOpOperands())
      if (auto tensor = dyn_cast<RankedTensorType>(operand.get().getType()))
        wanted[&operand] = Splits(tensor.getRank());
    return success();
  }
  if (!isa<GrokDialect>(op->getDialect()))
    return op->emitOpError("expects to be a grok op, to be sharded");
  FailureOr<FactorLetters> letters = lettersOf(op);
  if (failed(letters))
    return failure();
  llvm::SmallDenseMap<char, Axes> split = splitFactors(op);
  for (auto [text, operand] : llvm::zip_equal(letters->operands, op->getOpOperands()))
    wanted[&operand] = splitsOf(text, split);
  for (auto [text, result] : llvm::zip_equal(letters->results, op->getResults()))
    made[result] = splitsOf(text, split);
  return success();
}

/// Weights and what is dequantised of them: as the first reader wants them.
void Annotator::planSources() {
  SmallVector<Operation *> sources;
  for (Operation &op : function.getBody().front())
    if (isa<WeightOp, DequantizeOp>(op))
      sources.push_back(&op);
  for (Operation *op : llvm::reverse(sources)) {
    Value result = op->getResult(0);
    Splits splits(cast<RankedTensorType>(result.getType()).getRank());
    if (!result.use_empty()) {
      // Uses are listed last first.
      const OpOperand *first = nullptr;
      for (const OpOperand &use : result.getUses())
        first = &use;
      splits = wanted.lookup(first);
    }
    made[result] = splits;
    for (OpOperand &operand : op->getOpOperands())
      wanted[&operand] = splits;
  }
}

Value Annotator::sharding(const Splits &splits) {
  for (const auto &[known, value] : shardings)
    if (known == splits)
      return value;
  SmallVector<GridAxesAttr> attributes;
  for (const Axes &dim : splits)
    attributes.push_back(GridAxesAttr::get(builder.getContext(), dim));
  if (attributes.empty())
    attributes.push_back(GridAxesAttr::get(builder.getContext(), {}));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(firstOp);
  Value value = shard::ShardingOp::create(builder, function.getLoc(),
                                          FlatSymbolRefAttr::get(builder.getContext(), ranksGrid),
                                          attributes);
  shardings.push_back({splits, value});
  return value;
}

void Annotator::annotateValue(Value value, const Splits &splits) {
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    uses.push_back(&use);
  Value made = sharding(splits);
  if (isa<BlockArgument>(value))
    builder.setInsertionPoint(firstOp);
  else
    builder.setInsertionPointAfterValue(value);
  Value source = shard::ShardOp::create(builder, value.getLoc(), value, made,
                                        /*annotate_for_users=*/UnitAttr());
  for (OpOperand *use : uses) {
    builder.setInsertionPoint(use->getOwner());
    use->set(shard::ShardOp::create(builder, value.getLoc(), source, sharding(wanted.lookup(use)),
                                    builder.getUnitAttr()));
    ++numEdges;
  }
}

LogicalResult Annotator::run() {
  Block &body = function.getBody().front();
  for (Operation &op : body)
    if (failed(planOp(&op)))
      return failure();
  planSources();
  SmallVector<Value> values(body.getArguments());
  for (Operation &op : body)
    llvm::append_range(values, op.getResults());
  for (Value value : values)
    if (auto tensor = dyn_cast<RankedTensorType>(value.getType())) {
      auto found = made.find(value); // an argument is whole on every rank
      annotateValue(value, found == made.end() ? Splits(tensor.getRank()) : found->second);
    }
  return success();
}

void AnnotateSharding::runOnOperation() {
  ModuleOp module = getOperation();
  auto chosen = module->getAttrOfType<ShardingAttr>("grok.sharding");
  if (!chosen) {
    module.emitError("expects grok.sharding on the module");
    return signalPassFailure();
  }
  FailureOr<sharding::ModelShape> shape = sharding::shapeOf(module);
  if (failed(shape))
    return signalPassFailure();
  RankAxes axes(chosen, shape->kvHeads);
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  shard::GridOp::create(builder, module.getLoc(), ranksGrid, axes.shape);
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    if (!function.getBody().hasOneBlock()) {
      function.emitOpError("expects one block to shard");
      return signalPassFailure();
    }
    Annotator annotator(function, axes, sharding::hiddenLayersOf(module));
    if (failed(annotator.run()))
      return signalPassFailure();
    numEdges += annotator.countEdges();
  }
}
