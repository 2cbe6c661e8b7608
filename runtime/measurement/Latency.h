// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What it takes to begin a kernel and to add up what ranks have, without work.
#pragma once

#include "runtime/Result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace grok::runtime {

/// Seconds of a parallel loop in which `threads` threads only meet: the least
/// median of some rounds.
Result<double> measureEmptyLoop(int threads);

/// Seconds of an all-reduce of each of `bytes` bytes (multiples of 4) between
/// `ranks` threads, on the first of them: the least median of some rounds.
Result<std::vector<double>> measureAllReduce(int ranks, std::span<const int64_t> bytes);

} // namespace grok::runtime
