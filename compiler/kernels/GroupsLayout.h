// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The int32 buffer that `group` writes and the expert kernels read.
#pragma once

#include <cstdint>

namespace grok::compiler {

/// Positions, in int32, of the parts. A pair is one (row, choice) of the
/// router, numbered row * selected + choice. Choices of -1 are in no pair:
/// their experts are elsewhere.
struct GroupsLayout {
  int64_t activeCount = 0; // experts with at least one pair
  int64_t tileCount = 1;   // tiles of gate_up
  int64_t pairCount = 2;   // tiles of the down input's quantize
  int64_t ids = 3;         // [experts] ids of active experts, ascending
  int64_t offsets;         // [experts + 1] where an active expert's pairs start
  int64_t pairs;           // pair numbers sorted by (expert, row)

  explicit GroupsLayout(int64_t experts) : offsets(3 + experts), pairs(4 + 2 * experts) {}

  int64_t length(int64_t maxRows, int64_t selected) const { return pairs + maxRows * selected; }
};

} // namespace grok::compiler
