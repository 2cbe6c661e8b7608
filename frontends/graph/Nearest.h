// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// "Did you mean": the known word closest to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grok::graph {

/// Insertions, deletions and replacements that turn one word into the other.
size_t editDistance(std::string_view a, std::string_view b);

/// The word at the least edit distance, the first of several; `words` has at
/// least one.
std::string nearestTo(std::string_view word, const std::vector<std::string> &words);

} // namespace grok::graph
