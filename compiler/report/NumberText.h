// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Numbers for people.
#pragma once

#include <cstdint>
#include <string>

namespace grok::report {

/// "153.2 GB": powers of 1000.
std::string bytesText(int64_t bytes);
/// As printf does with %.*f.
std::string fixedText(double value, int digits);

} // namespace grok::report
