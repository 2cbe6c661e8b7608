// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How every part of the runtime reports failure.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace grok::runtime {

/// A value, or one line: what is wrong, where, and what to do.
template <typename T> using Result = tl::expected<T, std::string>;

using Error = tl::unexpected<std::string>;

} // namespace grok::runtime
