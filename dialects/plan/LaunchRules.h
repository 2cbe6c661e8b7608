// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the verifiers of launches and of buckets agree on.
#pragma once

#include "dialects/plan/PlanDialect.h"

namespace grok::plan {

inline bool reads(Access access) { return access != Access::write; }
inline bool writes(Access access) { return access != Access::read; }

/// Whether operands `source` and `target` of a launch may be the same bytes:
/// each tile is a whole row, reads it in `source` and stores it in `target`.
inline bool mayShareBytes(LaunchOp launch, unsigned source, unsigned target) {
  UseAttr from = launch.getUse(source), to = launch.getUse(target);
  TilesAttr tiles = launch.getTiles();
  return from.getAccess() == Access::read && to.getAccess() == Access::write &&
         from.getRange() == Range::rows && to.getRange() == Range::rows &&
         launch.getOperand(source).getType() == launch.getOperand(target).getType() &&
         tiles.getPerRow() == 1 && tiles.getPerLogitRow() == 0 && tiles.getConstant() == 0;
}

} // namespace grok::plan
