// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From one placement of a tensor on ranks to another, in the fewest steps.
#pragma once

#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "mlir/IR/Builders.h"

namespace grok::sharding {

using Axes = llvm::SmallVector<mlir::shard::GridAxis, 2>;

/// How a tensor lies on a grid: which axes split each dimension, the first one
/// outermost, and over which axes its parts have yet to be summed.
struct Placement {
  llvm::SmallVector<Axes> splits;
  Axes pending; // ascending

  bool operator==(const Placement &other) const {
    return splits == other.splits && pending == other.pending;
  }
};

/// Placement of a sharding on a tensor of `rank` dimensions.
Placement placementOf(const mlir::shard::Sharding &sharding, int64_t rank);

/// Values on each rank: `local` lies as `from` says and the result as `to` does.
/// Takes the path with the fewest collectives, among those the one that moves the
/// fewest bytes, and checks the shape after each step. `whole` is the tensor's
/// type before any split; parts may be padded at its end, and a gathered
/// dimension is then cut to its extent. One error at `loc` if there is no path:
/// a dimension that does not divide is never split.
mlir::FailureOr<mlir::Value> reshard(mlir::OpBuilder &builder, mlir::Location loc,
                                     mlir::shard::GridOp grid, mlir::Value local,
                                     mlir::RankedTensorType whole, const Placement &from,
                                     const Placement &to);

} // namespace grok::sharding
