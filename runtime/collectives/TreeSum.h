// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The one order in which ranks' partial sums are added, whoever adds them.
#pragma once

#include <cstdint>
#include <span>

namespace grok::runtime {

/// Up to here every member gets all parts and sums them. Longer ones are summed
/// in shares first: all to everyone then costs more than a second exchange.
inline constexpr int64_t oneShotBytes = 256 << 10;

/// sum[i] = the balanced binary tree over parts[0][i], parts[1][i], ...:
///   tree(lo, hi) = tree(lo, mid) + tree(mid, hi), mid = lo + the largest power
///   of two below hi - lo
/// so ((0+1)+(2+3)) for four parts, ((0+1)+2) for three. `sum` overlaps no part.
void treeSum(std::span<const float *const> parts, float *sum, int64_t count);

} // namespace grok::runtime
