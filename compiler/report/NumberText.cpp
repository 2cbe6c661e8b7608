// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/NumberText.h"

#include <cstdio>
#include <iterator>

namespace grok::report {

std::string fixedText(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string bytesText(int64_t bytes) {
  static constexpr const char *units[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  return fixedText(value, unit == 0 ? 0 : 1) + " " + units[unit];
}

} // namespace grok::report
