// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Levenshtein distance, one row at a time.
#include "frontends/graph/Nearest.h"

#include <algorithm>
#include <numeric>

namespace grok::graph {

/// Longer words are cut: whatever is in a file must not cost quadratic time.
static constexpr size_t longestWord = 64;

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string nearestTo(std::string_view word, const std::vector<std::string> &words) {
  word = word.substr(0, longestWord);
  return *std::min_element(words.begin(), words.end(),
                           [&](const std::string &a, const std::string &b) {
                             return editDistance(word, a) < editDistance(word, b);
                           });
}

} // namespace grok::graph
