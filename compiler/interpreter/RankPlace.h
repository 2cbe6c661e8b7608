// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which of a stage's ranks one is.
#pragma once

#include <cstdint>
#include <string_view>

namespace grok::interpreter {

/// Index and number of ranks on each axis of the grid; rank `ep * tpRanks + tp`.
struct RankPlace {
  int64_t ep = 0, epRanks = 1;
  int64_t tp = 0, tpRanks = 1;

  /// On "ep", "tp", or both: "ep.tp".
  int64_t index(std::string_view axis) const {
    return axis == "ep" ? ep : axis == "tp" ? tp : ep * tpRanks + tp;
  }
  int64_t ranks(std::string_view axis) const {
    return axis == "ep" ? epRanks : axis == "tp" ? tpRanks : epRanks * tpRanks;
  }
};

} // namespace grok::interpreter
