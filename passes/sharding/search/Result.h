// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the search reports bad input.
#pragma once

#include <sstream>
#include <string>
#include <tl/expected.hpp>

namespace grok::search {

/// A value, or one line: what is wrong, where, and what to do.
template <typename T> using Result = tl::expected<T, std::string>;

/// An error made of the parts, printed one after the other.
template <typename... Parts> tl::unexpected<std::string> fail(const Parts &...parts) {
  std::ostringstream line;
  (line << ... << parts);
  return tl::unexpected<std::string>(line.str());
}

} // namespace grok::search
