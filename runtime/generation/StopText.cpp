// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/generation/StopText.h"

#include <algorithm>
#include <utility>

namespace grok::runtime {

/// Length of the longest end of `text` that is a proper beginning of `stop`.
static size_t overlap(std::string_view text, std::string_view stop) {
  size_t length = std::min(text.size(), stop.size() - 1);
  while (length > 0 && !text.ends_with(stop.substr(0, length)))
    --length;
  return length;
}

std::string StopText::push(std::string_view text) {
  if (found)
    return "";
  held += text;
  // The stop that is complete first wins, so that the pieces do not matter.
  size_t firstEnd = std::string::npos;
  size_t shown = held.size();
  for (const std::string &stop : stops) {
    const size_t start = held.find(stop);
    const size_t end = start == std::string::npos ? start : start + stop.size();
    if (end < firstEnd || (end == firstEnd && start < shown))
      shown = start;
    firstEnd = std::min(firstEnd, end);
  }
  found = firstEnd != std::string::npos;
  for (const std::string &stop : stops)
    if (!found)
      shown = std::min(shown, held.size() - overlap(held, stop));
  std::string result = held.substr(0, shown);
  held.erase(0, found ? held.size() : shown);
  return result;
}

std::string StopText::finish() { return std::exchange(held, ""); }

} // namespace grok::runtime
