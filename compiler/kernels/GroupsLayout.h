// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The int32 buffer that `group` writes and the expert kernels read.
#pragma once

#include <cstdint>

namespace grok::compiler {

/// Positions, in int32, of the parts. A pair is one (row, choice) of the
/// router, numbered row * selected + choice.
struct GroupsLayout {
  int64_t activeCount = 0; // experts with at least one pair
  int64_t tileCount = 1;   // tiles of gate_up
  int64_t ids = 2;         // [experts] ids of active experts, ascending
  int64_t offsets;         // [experts + 1] where an active expert's pairs start
  int64_t pairs;           // pair numbers sorted by (expert, row)

  explicit GroupsLayout(int64_t experts) : offsets(2 + experts), pairs(3 + 2 * experts) {}

  int64_t length(int64_t maxRows, int64_t selected) const { return pairs + maxRows * selected; }
};

} // namespace grok::compiler
