// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The programs of many ranks, run in one process.
#include "compiler/interpreter/Ranks.h"

#include "compiler/interpreter/Arguments.h"
#include "compiler/interpreter/Collectives.h"
#include "compiler/interpreter/Feed.h"
#include "compiler/interpreter/Run.h"

#include "mlir/Dialect/Shard/IR/ShardOps.h"

#include <cstring>

namespace grok::interpreter {

namespace {

/// All ranks of one grid, one op behind the other.
class Lockstep {
public:
  Lockstep(llvm::ArrayRef<int64_t> grid, const WeightSource &weights, const Observer &observer);

  size_t size() const { return ranks.size(); }
  Run &rank(size_t index) { return ranks[index]; }
  Result<void> runBlock(mlir::Block &block, mlir::ValueRange kept);

private:
  Result<void> runCollectiveOp(mlir::Operation &op);
  std::vector<std::vector<size_t>> groupsOver(llvm::ArrayRef<int16_t> axes) const;

  llvm::ArrayRef<int64_t> grid;
  const Observer &observer;
  Observer nobody;
  std::vector<Run> ranks;
};

} // namespace

Lockstep::Lockstep(llvm::ArrayRef<int64_t> grid, const WeightSource &weights,
                   const Observer &observer)
    : grid(grid), observer(observer) {
  for (int64_t ep = 0; ep < grid[0]; ++ep)
    for (int64_t tp = 0; tp < grid[1]; ++tp)
      ranks.emplace_back(weights, ranks.empty() ? observer : nobody,
                         RankPlace{ep, grid[0], tp, grid[1]});
}

/// Ranks that differ on `axes` alone, the first axis outermost.
std::vector<std::vector<size_t>> Lockstep::groupsOver(llvm::ArrayRef<int16_t> axes) const {
  using Indices = std::vector<size_t>;
  std::map<Indices, std::map<Indices, size_t>> groups; // by the other indices, by their own
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const size_t index[] = {rank / size_t(grid[1]), rank % size_t(grid[1])};
    Indices others, own;
    for (int16_t axis = 0; axis < 2; ++axis)
      if (!llvm::is_contained(axes, axis))
        others.push_back(index[axis]);
    for (int16_t axis : axes)
      own.push_back(index[axis]);
    groups[others][own] = rank;
  }
  std::vector<std::vector<size_t>> result;
  for (const auto &[others, group] : groups) {
    auto &members = result.emplace_back();
    for (const auto &[own, rank] : group)
      members.push_back(rank);
  }
  return result;
}

Result<void> Lockstep::runCollectiveOp(mlir::Operation &op) {
  for (const std::vector<size_t> &group : groupsOver(axesOf(op))) {
    std::vector<const Tensor *> parts;
    parts.reserve(group.size());
    for (size_t rank : group)
      parts.push_back(&std::get<Tensor>(ranks[rank].valueOf(op.getOperand(0))));
    auto values = runCollective(op, parts);
    if (!values)
      return tl::unexpected(placeOf(op) + ": " + values.error());
    for (auto [rank, value] : llvm::zip_equal(group, *values))
      ranks[rank].bind(op.getResult(0), std::move(value));
  }
  if (observer)
    observer(op, {&ranks.front().valueOf(op.getResult(0))});
  return {};
}

Result<void> Lockstep::runBlock(mlir::Block &block, mlir::ValueRange kept) {
  llvm::DenseMap<mlir::Value, mlir::Operation *> lastUse = lastUsesIn(block, kept);
  for (mlir::Operation &op : block.without_terminator()) {
    if (isCollective(op)) {
      if (auto done = runCollectiveOp(op); !done)
        return done;
    } else {
      for (auto [index, rank] : llvm::enumerate(ranks))
        if (auto done = rank.runOp(op); !done)
          return tl::unexpected("rank " + std::to_string(index) + ": " + done.error());
    }
    for (mlir::Value operand : op.getOperands())
      if (lastUse.lookup(operand) == &op)
        for (Run &rank : ranks)
          rank.drop(operand);
  }
  return {};
}

static Result<llvm::ArrayRef<int64_t>> gridOf(mlir::Operation *op) {
  auto grid = mlir::SymbolTable::lookupNearestSymbolFrom<mlir::shard::GridOp>(
      op, mlir::StringAttr::get(op->getContext(), ranksGrid));
  if (!grid || grid.getShape().size() != 2 || grid.getShape()[0] < 1 || grid.getShape()[1] < 1)
    return tl::unexpected(std::string("expects a grid @ranks of expert by tensor ranks"));
  return grid.getShape();
}

Result<std::vector<std::vector<Value>>> interpretRanks(mlir::func::FuncOp function,
                                                       std::vector<std::vector<Value>> arguments,
                                                       const WeightSource &weights,
                                                       const Observer &observer) {
  std::string name = "function '" + function.getName().str() + "': ";
  auto grid = gridOf(function);
  if (!grid)
    return tl::unexpected(name + grid.error());
  auto exit = function.getBody().hasOneBlock()
                  ? mlir::dyn_cast<mlir::func::ReturnOp>(function.getBody().front().back())
                  : mlir::func::ReturnOp();
  if (!exit)
    return tl::unexpected(name + "expects one block that ends in func.return");
  Lockstep ranks(*grid, weights, observer);
  if (arguments.size() != ranks.size())
    return tl::unexpected(name + "expects arguments of " + std::to_string(ranks.size()) +
                          " ranks, found " + std::to_string(arguments.size()));
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    if (auto checked = checkArguments(function.getFunctionType(), arguments[rank]); !checked)
      return tl::unexpected(name + "rank " + std::to_string(rank) + ": " + checked.error());
    for (auto [value, argument] : llvm::zip_equal(function.getArguments(), arguments[rank]))
      ranks.rank(rank).bind(value, std::move(argument));
  }
  if (auto done = ranks.runBlock(function.getBody().front(), exit.getOperands()); !done)
    return tl::unexpected(done.error());
  std::vector<std::vector<Value>> results;
  results.reserve(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    results.push_back(ranks.rank(rank).read(exit.getOperands()));
  return results;
}

namespace {

/// One stage of a pipeline and what its ranks keep between steps.
struct Stage {
  mlir::func::FuncOp function;
  std::vector<Cache> caches; // by rank
};

} // namespace

static Result<std::vector<Stage>> stagesOf(mlir::ModuleOp module) {
  auto sharding = module->getAttrOfType<ShardingAttr>("grok.sharding");
  if (!sharding)
    return tl::unexpected(std::string("expects grok.sharding on the module"));
  auto grid = gridOf(module);
  if (!grid)
    return tl::unexpected(grid.error());
  std::vector<Stage> stages;
  for (int64_t stage = 0; stage < sharding.getPp(); ++stage) {
    std::string name = sharding.getPp() == 1 ? "step" : "stage" + std::to_string(stage);
    auto function = module.lookupSymbol<mlir::func::FuncOp>(name);
    mlir::FunctionType type = function ? function.getFunctionType() : mlir::FunctionType();
    if (!function || type.getNumInputs() != (stage > 0 ? 4u : 3u) || type.getNumResults() != 2 ||
        !mlir::isa<CacheType>(type.getInput(2)) ||
        !mlir::isa<mlir::RankedTensorType>(type.getResult(0)))
      return tl::unexpected("expects a function '" + name + "' that is a stage of a model");
    int64_t layers = mlir::cast<CacheType>(type.getInput(2)).getLayers();
    stages.push_back({function, std::vector<Cache>((*grid)[0] * (*grid)[1], Cache::empty(layers))});
  }
  return stages;
}

// -0.0 is not 0.0, and a NaN is itself.
static bool areSameBits(const Tensor &lhs, const Tensor &rhs) {
  return lhs.shape == rhs.shape &&
         std::memcmp(lhs.values.data(), rhs.values.data(), lhs.values.size() * sizeof(float)) == 0;
}

/// Runs one stage; `residual` comes in, and what it hands on goes out.
static Result<void> runStage(Stage &stage, const Indices &tokens, const Step &step, bool isFirst,
                             Tensor &residual, const WeightSource &weights,
                             const Observer &observer) {
  std::vector<std::vector<Value>> arguments;
  for (Cache &cache : stage.caches) {
    std::vector<Value> values{tokens, step, std::move(cache)};
    if (!isFirst)
      values.emplace_back(residual);
    arguments.push_back(std::move(values));
  }
  auto results = interpretRanks(stage.function, std::move(arguments), weights, observer);
  if (!results)
    return tl::unexpected(results.error());
  residual = std::get<Tensor>(results->front().front());
  for (auto [rank, values] : llvm::enumerate(*results)) {
    if (!areSameBits(std::get<Tensor>(values.front()), residual))
      return tl::unexpected("function '" + stage.function.getName().str() + "': rank " +
                            std::to_string(rank) + " returns other values than rank 0");
    stage.caches[rank] = std::move(std::get<Cache>(values.back()));
  }
  return {};
}

Result<Tensor> feedRanks(mlir::ModuleOp module, llvm::ArrayRef<int32_t> tokens, int64_t chunk,
                         const WeightSource &weights, const Observer &observer) {
  auto stages = stagesOf(module);
  if (!stages)
    return tl::unexpected(stages.error());
  mlir::Type type = stages->back().function.getFunctionType().getResult(0);
  if (auto checked = checkTokens(tokens, type); !checked)
    return tl::unexpected(checked.error());
  Tensor logits;
  for (size_t first = 0; first < tokens.size();) {
    size_t count = std::min(tokens.size() - first, size_t(std::max<int64_t>(chunk, 1)));
    Indices ids{{int64_t(count)}, tokens.slice(first, count).vec()};
    Tensor rows;
    for (Stage &stage : *stages)
      if (auto done = runStage(stage, ids, consecutiveRows(int64_t(first), int64_t(count)),
                               &stage == &stages->front(), rows, weights, observer);
          !done)
        return tl::unexpected(done.error());
    logits.values.insert(logits.values.end(), rows.values.begin(), rows.values.end());
    logits.shape = {int64_t(first + count), rows.shape.back()};
    first += count;
  }
  return logits;
}

} // namespace grok::interpreter
