// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Best fit, the largest first: within a few percent of the optimum on chains of
// layers, and simple enough to be the same everywhere.
#include "passes/memory/ArenaPlacement.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/SmallVector.h"

#include <algorithm>
#include <limits>
#include <tuple>

using namespace grok::plan;

/// The start of the smallest gap of at least `bytes` between `busy`, which is
/// sorted by offset and may overlap; else the end of the last.
static int64_t findBestGap(llvm::ArrayRef<Placement> busy, int64_t bytes) {
  int64_t end = 0, best = -1, bestBytes = std::numeric_limits<int64_t>::max();
  for (const Placement &other : busy) {
    int64_t gap = other.offset - end;
    if (gap >= bytes && gap < bestBytes) {
      best = end;
      bestBytes = gap;
    }
    end = std::max(end, other.offset + other.bytes);
  }
  return best >= 0 ? best : end;
}

int64_t grok::plan::placeInArena(llvm::MutableArrayRef<Placement> placements) {
  auto order = llvm::to_vector(llvm::seq<size_t>(0, placements.size()));
  auto rankOf = [&](size_t index) {
    return std::tuple(-placements[index].bytes, placements[index].first, index);
  };
  llvm::sort(order, [&](size_t lhs, size_t rhs) { return rankOf(lhs) < rankOf(rhs); });
  llvm::SmallVector<Placement> placed; // sorted by offset
  llvm::SmallVector<Placement> busy;
  int64_t arenaEnd = 0;
  for (size_t index : order) {
    Placement &placement = placements[index];
    busy.clear();
    llvm::copy_if(placed, std::back_inserter(busy), [&](const Placement &other) {
      return other.first <= placement.last && placement.first <= other.last;
    });
    placement.offset = findBestGap(busy, placement.bytes);
    arenaEnd = std::max(arenaEnd, placement.offset + placement.bytes);
    auto later =
        llvm::upper_bound(placed, placement.offset, [](int64_t offset, const Placement &other) {
          return offset < other.offset;
        });
    placed.insert(later, placement);
  }
  return arenaEnd;
}
