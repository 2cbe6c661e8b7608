// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many experts a step touches if every row chooses its own independently
// and evenly.
#pragma once

#include <cstdint>

namespace grok::search {

/// Expected number of distinct experts: X (1 - (1 - k/X)^rows).
double expectedDistinct(int64_t experts, int64_t selected, int64_t rows);

/// Expected largest number of distinct experts in any of `groups` equal groups.
/// All ranks wait for that group.
double expectedMostDistinct(int64_t experts, int64_t selected, int64_t rows, int64_t groups);

/// Expected largest number of (row, expert) pairs in any of `groups` equal
/// groups, by independent normal loads.
double expectedMostPairs(int64_t experts, int64_t selected, int64_t rows, int64_t groups);

} // namespace grok::search
