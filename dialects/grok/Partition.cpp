// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What one rank computes of an op, by the table of factors.
#include "dialects/grok/Factors.h"
#include "dialects/grok/ShapeRules.h"
#include "dialects/grok/Slices.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;
using shard::GridAxis;
using shard::GridOp;
using shard::Sharding;

namespace {

/// One op on its way to its part on each rank.
class Partitioner {
public:
  Partitioner(Operation *op, GridOp grid, FactorLetters letters)
      : op(op), grid(grid), letters(std::move(letters)) {}

  LogicalResult readSplits(ArrayRef<Sharding> operands, ArrayRef<Sharding> results);
  LogicalResult build(ArrayRef<Value> operands, IRMapping &mapping, OpBuilder &builder);

private:
  LogicalResult readSplit(StringRef text, Value value, const Sharding &sharding);
  LogicalResult checkSplit(char letter, int64_t extent, ArrayRef<GridAxis> axes);
  ArrayRef<GridAxis> axesOf(char letter) const;
  int64_t partsOf(char letter) const;
  FailureOr<Type> localType(StringRef text, Value value);
  void sliceWeight(WeightOp weight, WeightOp local);
  void selectLocalIds(Operation *local, OpBuilder &builder);
  SmallVector<GridAxis> summedAxes() const;

  Operation *op;
  GridOp grid; // null: one rank
  FactorLetters letters;
  llvm::SmallDenseMap<char, SmallVector<GridAxis>> splits;
};

} // namespace

/// Axis 0 of the grid of ranks is that of experts; other grids have one kind.
static StringRef axisName(GridOp grid, GridAxis axis) {
  return grid.getSymName() == ranksGrid && axis == 0 ? "ep" : "tp";
}

/// Of ranks on all of `axes`, which are in ascending order.
static StringRef axisName(GridOp grid, ArrayRef<GridAxis> axes) {
  StringRef first = axisName(grid, axes.front());
  return first == axisName(grid, axes.back()) ? first : "ep.tp";
}

ArrayRef<GridAxis> Partitioner::axesOf(char letter) const {
  auto found = splits.find(letter);
  return found == splits.end() ? ArrayRef<GridAxis>() : ArrayRef<GridAxis>(found->second);
}

int64_t Partitioner::partsOf(char letter) const {
  return axesOf(letter).empty() ? 1 : shard::collectiveProcessGroupSize(axesOf(letter), grid);
}

LogicalResult Partitioner::checkSplit(char letter, int64_t extent, ArrayRef<GridAxis> axes) {
  for (GridAxis axis : axes)
    if (!letters.maySplit(letter, axisName(grid, axis)))
      return op->emitOpError() << "does not allow ranks on axis \"" << axisName(grid, axis)
                               << "\" to split factor '" << letter << "'";
  int64_t parts = axes.empty() ? 1 : shard::collectiveProcessGroupSize(axes, grid);
  if (ShapedType::isDynamic(extent) || extent % parts == 0 || letters.isPadded(letter))
    return success();
  return op->emitOpError() << "expects " << parts << " parts to divide the " << extent
                           << " of factor '" << letter << "'";
}

LogicalResult Partitioner::readSplit(StringRef text, Value value, const Sharding &sharding) {
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  if (!tensor)
    return success();
  for (auto [dim, letter] : llvm::enumerate(text)) {
    SmallVector<GridAxis> axes;
    if (sharding && dim < sharding.getSplitAxes().size())
      llvm::append_range(axes, sharding.getSplitAxes()[dim].asArrayRef());
    auto [known, isNew] = splits.try_emplace(letter, axes);
    if (!isNew && known->second != axes)
      return op->emitOpError() << "expects factor '" << letter
                               << "' to be split alike in all operands and results";
    if (failed(checkSplit(letter, tensor.getDimSize(dim), axes)))
      return failure();
  }
  return success();
}

LogicalResult Partitioner::readSplits(ArrayRef<Sharding> operands, ArrayRef<Sharding> results) {
  for (auto [text, value, sharding] :
       llvm::zip_equal(letters.operands, op->getOperands(), operands))
    if (failed(readSplit(text, value, sharding)))
      return failure();
  for (auto [text, value, sharding] : llvm::zip_equal(letters.results, op->getResults(), results))
    if (failed(readSplit(text, value, sharding)))
      return failure();
  return success();
}

FailureOr<Type> Partitioner::localType(StringRef text, Value value) {
  auto tensor = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> parts;
  for (char letter : text)
    parts.push_back(partsOf(letter));
  FailureOr<RankedTensorType> type = partType(tensor, parts, [&] { return op->emitOpError(); });
  if (failed(type))
    return failure();
  return Type(*type);
}

/// What the checkpoint's tensor is cut by.
void Partitioner::sliceWeight(WeightOp weight, WeightOp local) {
  Builder builder(weight.getContext());
  SmallVector<Attribute> slices;
  for (auto [dim, letter] : llvm::enumerate(letters.results.front()))
    if (int64_t parts = partsOf(letter); parts > 1)
      slices.push_back(SliceAttr::get(weight.getContext(), static_cast<int64_t>(dim), parts,
                                      builder.getStringAttr(axisName(grid, axesOf(letter)))));
  if (slices.empty())
    return;
  local.setFullAttr(TypeAttr::get(weight.getType()));
  local.setSlicesAttr(builder.getArrayAttr(slices));
}

/// The same op on the same value, made before or now.
template <typename OpType>
static Value makeOnce(OpBuilder &builder, Location loc, Value ids, StringRef axis, int64_t count) {
  for (Operation *user : ids.getUsers())
    if (auto same = dyn_cast<OpType>(user))
      if (same.getAxis() == axis && static_cast<int64_t>(same.getCount()) == count &&
          same->getBlock() == builder.getInsertionBlock())
        return same.getResult();
  return OpType::create(builder, loc, ids.getType(), ids, builder.getStringAttr(axis),
                        builder.getI64IntegerAttr(count));
}

/// Where a table or a stack of experts is split, ids are those of the part.
void Partitioner::selectLocalIds(Operation *local, OpBuilder &builder) {
  auto localExperts = [&](OpOperand &experts, Value weight) {
    if (partsOf('x') > 1)
      experts.set(makeOnce<LocalExpertsOp>(builder, local->getLoc(), experts.get(), "ep",
                                           extentOf(weight, 0)));
  };
  llvm::TypeSwitch<Operation *>(local)
      .Case([&](EmbedOp embed) {
        if (partsOf('v') > 1)
          embed.getTokensMutable().assign(makeOnce<LocalTokensOp>(
              builder, local->getLoc(), embed.getTokens(), "tp", extentOf(embed.getTable(), 0)));
      })
      .Case([&](ExpertMatmulOp matmul) {
        localExperts(matmul.getExpertsMutable(), matmul.getWeight());
      })
      .Case(
          [&](FusedGateUpOp gateUp) { localExperts(gateUp.getExpertsMutable(), gateUp.getGate()); })
      .Case(
          [&](FusedDownCombineOp down) { localExperts(down.getExpertsMutable(), down.getDown()); });
}

/// In ascending order: ranks that differ in the last axis are neighbours.
SmallVector<GridAxis> Partitioner::summedAxes() const {
  SmallVector<GridAxis> axes;
  for (const auto &[letter, split] : splits)
    if (letters.isSummed(letter))
      llvm::append_range(axes, split);
  llvm::sort(axes);
  return axes;
}

LogicalResult Partitioner::build(ArrayRef<Value> operands, IRMapping &mapping, OpBuilder &builder) {
  IRMapping own;
  own.map(op->getOperands(), operands);
  Operation *local = op->clone(own);
  builder.setInsertionPoint(builder.insert(local));
  selectLocalIds(local, builder);
  builder.setInsertionPointAfter(local);
  for (auto [text, result] : llvm::zip_equal(letters.results, local->getResults())) {
    if (!isa<RankedTensorType>(result.getType())) {
      // The cache: as many heads as the one that comes in.
      result.setType(cast<CacheType>(llvm::find_if(operands, [](Value operand) {
                                       return isa<CacheType>(operand.getType());
                                     })->getType()));
      continue;
    }
    FailureOr<Type> type = localType(text, result);
    if (failed(type))
      return failure();
    result.setType(*type);
  }
  if (auto weight = dyn_cast<WeightOp>(local))
    sliceWeight(cast<WeightOp>(op), weight);
  if (failed(verifyExtents(local)) || failed(verify(local)))
    return failure();

  SmallVector<GridAxis> axes = summedAxes();
  for (auto [result, part] : llvm::zip_equal(op->getResults(), local->getResults())) {
    Value value = part;
    if (!axes.empty())
      value = shard::AllReduceOp::create(builder, op->getLoc(), part.getType(), grid.getSymName(),
                                         axes, part);
    mapping.map(result, value);
  }
  return success();
}

LogicalResult grok::partitionOp(Operation *op, ArrayRef<Value> operands,
                                ArrayRef<Sharding> operandShardings,
                                ArrayRef<Sharding> resultShardings, IRMapping &mapping,
                                SymbolTableCollection &symbols, OpBuilder &builder) {
  FailureOr<FactorLetters> letters = lettersOf(op);
  if (failed(letters))
    return failure();
  GridOp grid;
  for (ArrayRef<Sharding> list : {operandShardings, resultShardings})
    for (const Sharding &sharding : list)
      if (sharding && !grid)
        grid = shard::getGridOrNull(op, sharding.getGridAttr(), symbols);
  Partitioner partitioner(op, grid, std::move(*letters));
  if (failed(partitioner.readSplits(operandShardings, resultShardings)))
    return failure();
  return partitioner.build(operands, mapping, builder);
}
