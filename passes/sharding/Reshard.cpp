// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From one placement of a tensor on ranks to another, in the fewest steps.
#include "passes/sharding/Reshard.h"

#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/Verifier.h"

#include <map>

using namespace mlir;
using namespace grok;
using namespace grok::sharding;
using shard::GridAxis;
using shard::GridOp;

namespace {

enum class Move { gather, slice, exchange, reduce, reduceScatter };

/// One collective. `dim` loses or gains the axes; `other` gains them in an
/// exchange.
struct Step {
  Move move;
  Axes axes;
  int64_t dim = 0, other = 0;
};

/// Extents of a rank's part, padding counted.
using Extents = SmallVector<int64_t>;

/// A search for the cheapest path from a placement.
class Paths {
public:
  Paths(GridOp grid, RankedTensorType whole) : grid(grid.getShape()), whole(whole) {}

  std::optional<SmallVector<Step>> find(const Placement &from, const Placement &to,
                                        const Extents &extents);
  /// Does the step; false if a dimension does not divide.
  bool apply(const Step &step, Placement &placement, Extents &extents) const;

private:
  SmallVector<Step> stepsFrom(const Placement &placement) const;
  int64_t size(ArrayRef<GridAxis> axes) const {
    return shard::collectiveProcessGroupSize(axes, grid);
  }

  ArrayRef<int64_t> grid; // its shape
  RankedTensorType whole;
};

} // namespace

Placement sharding::placementOf(const shard::Sharding &sharding, int64_t rank) {
  Placement placement;
  placement.splits.resize(rank);
  for (auto [dim, axes] : llvm::enumerate(sharding.getSplitAxes()))
    if (static_cast<int64_t>(dim) < rank)
      llvm::append_range(placement.splits[dim], axes.asArrayRef());
  return placement;
}

static void multiply(int64_t &extent, int64_t factor) {
  if (!ShapedType::isDynamic(extent))
    extent *= factor;
}

bool Paths::apply(const Step &step, Placement &placement, Extents &extents) const {
  auto remove = [&](int64_t dim) {
    placement.splits[dim].pop_back_n(step.axes.size());
    multiply(extents[dim], size(step.axes));
  };
  auto add = [&](int64_t dim) {
    if (ShapedType::isDynamic(extents[dim]))
      return false; // any number of rows, which need not divide
    // Of padded parts, another split would put the padding elsewhere.
    Axes &axes = placement.splits[dim];
    int64_t parts = axes.empty() ? 1 : size(axes);
    if (extents[dim] * parts != whole.getDimSize(dim) || extents[dim] % size(step.axes) != 0)
      return false;
    llvm::append_range(axes, step.axes);
    extents[dim] /= size(step.axes);
    return true;
  };
  switch (step.move) {
  case Move::gather:
    return remove(step.dim), true;
  case Move::slice:
    return add(step.dim);
  case Move::exchange:
    return remove(step.dim), add(step.other);
  case Move::reduceScatter:
    llvm::erase(placement.pending, step.axes.front());
    return add(step.dim);
  case Move::reduce:
    placement.pending.clear();
    return true;
  }
  llvm_unreachable("all moves are listed");
}

/// The ways on from a placement. Gathers and exchanges take any of the innermost
/// axes of a dimension together, sums all that are pending.
SmallVector<Step> Paths::stepsFrom(const Placement &placement) const {
  SmallVector<Step> steps;
  int64_t rank = whole.getRank();
  SmallVector<bool> isUsed(grid.size());
  if (!placement.pending.empty())
    steps.push_back({Move::reduce, placement.pending});
  for (GridAxis axis : placement.pending) {
    isUsed[axis] = true;
    for (int64_t dim = 0; dim < rank; ++dim)
      steps.push_back({Move::reduceScatter, {axis}, dim});
  }
  for (int64_t dim = 0; dim < rank; ++dim) {
    const Axes &axes = placement.splits[dim];
    for (GridAxis axis : axes)
      isUsed[axis] = true;
    for (size_t first = 0; first < axes.size(); ++first) {
      Axes innermost(llvm::drop_begin(axes, first));
      steps.push_back({Move::gather, innermost, dim});
      for (int64_t other = 0; other < rank; ++other)
        if (other != dim)
          steps.push_back({Move::exchange, innermost, dim, other});
    }
  }
  for (int64_t dim = 0; dim < rank; ++dim)
    for (size_t axis = 0; axis < grid.size(); ++axis)
      if (!isUsed[axis])
        steps.push_back({Move::slice, {static_cast<GridAxis>(axis)}, dim});
  return steps;
}

// A total order of placements, for sets and for paths that never vary.
static std::string keyOf(const Placement &placement) {
  std::string key;
  for (const Axes &axes : placement.splits) {
    for (GridAxis axis : axes)
      key += std::to_string(axis) + ",";
    key += ";";
  }
  for (GridAxis axis : placement.pending)
    key += std::to_string(axis) + ",";
  return key;
}

/// Elements that a rank sends or keeps; a slice moves nothing.
static double costOf(const Step &step, ArrayRef<int64_t> before, ArrayRef<int64_t> after) {
  auto count = [](ArrayRef<int64_t> extents) {
    double elements = 1;
    for (int64_t extent : extents)
      elements *= ShapedType::isDynamic(extent) ? 1 : static_cast<double>(extent);
    return elements;
  };
  switch (step.move) {
  case Move::slice:
    return 0;
  case Move::gather:
    return count(after);
  case Move::reduce:
    return 2 * count(before);
  case Move::exchange:
  case Move::reduceScatter:
    return count(before);
  }
  llvm_unreachable("all moves are listed");
}

std::optional<SmallVector<Step>> Paths::find(const Placement &from, const Placement &to,
                                             const Extents &extents) {
  struct State {
    Placement placement;
    Extents extents;
    SmallVector<Step> path;
  };
  using Cost = std::pair<int64_t, double>; // collectives, elements
  std::multimap<Cost, State> open;
  std::map<std::string, Cost> best;
  open.insert({Cost(0, 0), {from, extents, {}}});
  while (!open.empty()) {
    auto [cost, state] = *open.begin();
    open.erase(open.begin());
    if (state.placement == to)
      return state.path;
    if (!best.try_emplace(keyOf(state.placement), cost).second)
      continue;
    for (const Step &step : stepsFrom(state.placement)) {
      State next = state;
      if (!apply(step, next.placement, next.extents))
        continue;
      next.path.push_back(step);
      open.insert({Cost(cost.first + (step.move == Move::slice ? 0 : 1),
                        cost.second + costOf(step, state.extents, next.extents)),
                   std::move(next)});
    }
  }
  return std::nullopt;
}

static Operation *build(OpBuilder &builder, Location loc, GridOp grid, Value local,
                        RankedTensorType type, const Step &step) {
  StringRef name = grid.getSymName();
  ArrayRef<GridAxis> axes = step.axes;
  auto index = [&](int64_t dim) { return APInt(64, dim); };
  switch (step.move) {
  case Move::gather:
    return shard::AllGatherOp::create(builder, loc, type, name, axes, local, index(step.dim));
  case Move::slice:
    return shard::AllSliceOp::create(builder, loc, type, name, axes, local, index(step.dim));
  case Move::exchange:
    return shard::AllToAllOp::create(builder, loc, type, name, axes, local, index(step.other),
                                     index(step.dim));
  case Move::reduce:
    return shard::AllReduceOp::create(builder, loc, type, name, axes, local);
  case Move::reduceScatter:
    return shard::ReduceScatterOp::create(builder, loc, type, name, axes, local,
                                          shard::ReductionKind::Sum, index(step.dim));
  }
  llvm_unreachable("all moves are listed");
}

/// What is gathered of padded parts, without the padding.
static FailureOr<Value> cut(OpBuilder &builder, Location loc, Value local, RankedTensorType type) {
  if (local.getType() == type)
    return local;
  if (type.getRank() != 2)
    return emitError(loc) << "expects parts of " << type << " without padding, found "
                          << local.getType();
  return Value(CutColumnsOp::create(builder, loc, type, local));
}

FailureOr<Value> sharding::reshard(OpBuilder &builder, Location loc, GridOp grid, Value local,
                                   RankedTensorType whole, const Placement &from,
                                   const Placement &to) {
  if (from == to)
    return local;
  Paths paths(grid, whole);
  auto extents = llvm::to_vector(cast<RankedTensorType>(local.getType()).getShape());
  std::optional<SmallVector<Step>> path = paths.find(from, to, extents);
  if (!path)
    return emitError(loc) << "no collectives lead from one sharding of " << whole
                          << " to the other: a dimension does not divide";
  Placement placement = from;
  for (const Step &step : *path) {
    paths.apply(step, placement, extents);
    auto type = RankedTensorType::get(extents, whole.getElementType());
    Operation *op = build(builder, loc, grid, local, type, step);
    if (failed(verify(op)))
      return failure();
    local = op->getResult(0);
  }
  bool isWhole = llvm::all_of(to.splits, [](const Axes &axes) { return axes.empty(); });
  return isWhole ? cut(builder, loc, local, whole) : FailureOr<Value>(local);
}
