// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives on the values of a group of ranks, in the group's order.
#pragma once

#include "compiler/interpreter/Rounding.h"
#include "compiler/interpreter/Values.h"

#include "mlir/IR/Operation.h"

namespace grok::interpreter {

/// Sums in float32 by the balanced tree: sum(lo, hi) = sum(lo, mid) + sum(mid, hi)
/// with mid - lo the largest power of two below hi - lo.
Tensor reduceAll(llvm::ArrayRef<const Tensor *> parts, Rounding rounding);

/// Parts one after the other along `dim`.
Tensor gatherAll(llvm::ArrayRef<const Tensor *> parts, int64_t dim);

/// Part `index` of `count` along `dim`, whose extent they divide.
Tensor slicePart(const Tensor &whole, int64_t dim, int64_t index, int64_t count);

/// Whether the op is a collective of upstream's shard dialect that
/// `runCollective` knows.
bool isCollective(mlir::Operation &op);

/// The grid axes of a collective.
llvm::ArrayRef<int16_t> axesOf(mlir::Operation &op);

/// What each rank of a group gets, from what each has. Fails where rows, of which
/// there may be any number, do not divide.
Result<std::vector<Tensor>> runCollective(mlir::Operation &op,
                                          llvm::ArrayRef<const Tensor *> parts);

} // namespace grok::interpreter
