// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-plan/Table.h"

#include <algorithm>

namespace grok::tools {

std::string Table::print(size_t indent) const {
  std::vector<size_t> widths(rows[0].size());
  for (const std::vector<std::string> &row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const std::vector<std::string> &row : rows) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      const bool isRight = std::ranges::count(rightAligned, i) > 0;
      line += (i == 0 ? "" : "  ") + (isRight ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

} // namespace grok::tools
