// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The one order in which ranks' partial sums are added, whoever adds them.
#pragma once

#include <cstdint>
#include <span>

namespace grok::runtime {

/// sum[i] = the balanced binary tree over parts[0][i], parts[1][i], ...:
///   tree(lo, hi) = tree(lo, mid) + tree(mid, hi), mid = lo + the largest power
///   of two below hi - lo
/// so ((0+1)+(2+3)) for four parts, ((0+1)+2) for three. `sum` overlaps no part.
void treeSum(std::span<const float *const> parts, float *sum, int64_t count);

} // namespace grok::runtime
