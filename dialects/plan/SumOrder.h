// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The order in which a contraction is summed: one function of its length and
// its row groups, shared by everything that makes or checks kernels.
#pragma once

#include <cstdint>

namespace grok::plan {

/// A contraction is cut into `slices` of equal length, summed as a balanced
/// tree; inside a slice the units follow one another, and inside a unit every
/// column is one sequential chain. Never depends on rows, tiles or threads.
struct SumOrder {
  int64_t unit = 1;   // inputs in one chain
  int64_t slices = 1; // power of two, at most 16

  bool operator==(const SumOrder &) const = default;
};

/// Longest units: of float chains, and of exact integer sums (`fast`), each of
/// which has its own activation scale.
inline constexpr int64_t longestFloatUnit = 512;
inline constexpr int64_t longestIntegerUnit = 128;

/// The order for `length` inputs in `groups` row groups. `length` must be
/// positive and a multiple of `groups`.
SumOrder chooseSumOrder(int64_t length, int64_t groups, int64_t longestUnit = longestFloatUnit);

/// The order for a rank's part, `length` of `fullLength` inputs: whole slices of
/// the whole order if there are as many for each rank, so that the sums of all
/// parts, added as a balanced tree, have the bits of the whole. Else an order of
/// its own, from the part's `groups`.
SumOrder choosePartSumOrder(int64_t fullLength, int64_t fullGroups, int64_t length, int64_t groups,
                            int64_t longestUnit = longestFloatUnit);

/// Consecutive inputs of one column that are adjacent in memory: what the dot
/// product instructions of the element type take at once. `elementBits` is 8,
/// 16 or 32.
int64_t choosePackedInputs(int64_t elementBits, int64_t unit);

} // namespace grok::plan
