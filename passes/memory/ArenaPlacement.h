// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Packs intervals of time and size into one arena.
#pragma once

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>

namespace grok::plan {

/// Something that needs `bytes` from `first` to `last`, both included.
struct Placement {
  int64_t first = 0, last = 0;
  int64_t bytes = 0;
  int64_t offset = -1; // the answer
};

/// Sets every offset, so that placements that overlap in time are disjoint;
/// returns the end of the arena. Offsets are sums of sizes: sizes that are
/// multiples of 64 give offsets that are.
int64_t placeInArena(llvm::MutableArrayRef<Placement> placements);

} // namespace grok::plan
