// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Small numbers that several files of the search need.
#pragma once

#include <cstdint>
#include <limits>

namespace grok::search {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// Of numbers that are not negative, rounded up.
constexpr int64_t divideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

} // namespace grok::search
