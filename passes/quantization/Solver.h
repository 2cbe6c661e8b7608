// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One choice for each item, least loss within a budget of bytes: the multiple
// choice knapsack problem, solved exactly or with a proven gap.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace grok::quantization {

/// One way to store an item. Sums of either number over all items must stay
/// below 2^62.
struct Choice {
  int64_t bytes = 0;
  int64_t loss = 0; // fixed point, any unit
};

/// At least one choice, in any order; some may be worse than others in both.
using Item = std::vector<Choice>;

struct Solution {
  std::vector<int64_t> choices; // index into each item
  int64_t bytes = 0;
  int64_t loss = 0;
  int64_t bound = 0; // proven: no selection within the budget has less loss

  /// What a better selection could still save; 0 = proved optimal.
  int64_t gap() const { return loss - bound; }
};

/// What the smallest selection needs.
int64_t leastBytes(std::span<const Item> items);

/// The selection of least loss within `budget` bytes; nothing if none fits.
/// `mostStates` bounds the work: a search that needs more keeps the most
/// promising and proves less, but is never worse than any of `candidates` that
/// fits. Equal input gives equal output; among selections of equal loss, items
/// and choices of lower index are preferred.
std::optional<Solution> solve(std::span<const Item> items, int64_t budget,
                              std::span<const std::vector<int64_t>> candidates = {},
                              size_t mostStates = 1 << 14);

} // namespace grok::quantization
