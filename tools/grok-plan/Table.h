// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Columns of text that line up.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace grok::tools {

class Table {
public:
  /// Columns whose index is in `rightAligned` hold numbers.
  explicit Table(std::vector<std::string> header, std::vector<size_t> rightAligned = {})
      : rows{std::move(header)}, rightAligned(std::move(rightAligned)) {}

  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }
  /// The lines, each after `indent` spaces; two spaces between columns.
  std::string print(size_t indent) const;

private:
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> rightAligned;
};

} // namespace grok::tools
