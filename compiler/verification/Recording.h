// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What launches of the compiled program wrote, kept after the step.
#pragma once

#include "runtime/grok.h"

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace grok::verification {

/// A value, or one line that says what is wrong.
template <typename T> using Result = tl::expected<T, std::string>;

/// One buffer, its padding cut off.
struct RecordedBuffer {
  std::string name;                 // "layer3.gate_up"
  std::vector<int64_t> shape;       // [rows, ...], or without rows if it has none
  std::vector<float> numbers;       // of a float32 buffer
  std::vector<int32_t> integers;    // of an int32 buffer
  std::vector<std::byte> bytes;     // of quantised rows (QuantizedRow.h)
  std::optional<size_t> paddingRow; // the first row whose padding is not zero
};

struct RecordedLaunch {
  std::string name; // "layer3.gate_up"
  std::string op;   // "gate_up"
  int32_t layer = -1;
  std::vector<RecordedBuffer> written; // in the order of the kernel's operands
};

/// Copies what the view shows. Fails on an element type that no activation has.
Result<RecordedLaunch> record(const GrokLaunchView &launch);

} // namespace grok::verification
