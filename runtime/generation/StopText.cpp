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
  size_t first = std::string::npos;
  size_t mayStop = 0;
  for (const std::string &stop : stops) {
    first = std::min(first, held.find(stop));
    mayStop = std::max(mayStop, overlap(held, stop));
  }
  found = first != std::string::npos;
  const size_t shown = found ? first : held.size() - mayStop;
  std::string result = held.substr(0, shown);
  held.erase(0, found ? held.size() : shown);
  return result;
}

std::string StopText::finish() { return std::exchange(held, ""); }

} // namespace grok::runtime
