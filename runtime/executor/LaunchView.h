// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What an observer sees of a step: launches, the buffers they wrote, their time.
#pragma once

#include "runtime/plan/KernelABI.h"
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace grok::runtime {

/// A buffer that a launch wrote.
struct BufferView {
  std::string_view name;
  std::string_view dtype; // "f32", "bf16", "i8", "i32"
  const void *data = nullptr;
  bool perRow = false;              // then the first dimension is the row
  int64_t rows = 0;                 // valid rows, 1 unless perRow
  uint64_t rowBytes = 0;            // stride of rows
  std::span<const int64_t> shape;   // of one row as stored, padding included
  std::span<const int64_t> logical; // of one row without padding

  uint64_t bytes() const { return static_cast<uint64_t>(rows) * rowBytes; } // of the valid rows
};

/// A launch that has just run; views live until the observer returns.
struct LaunchView {
  std::string_view name; // "layer3.gate_up"
  std::string_view op;   // "gate_up"
  int32_t layer = -1;
  int64_t tiles = 0;
  const GrokStepInfo *step = nullptr;
  std::span<const BufferView> written; // arena and logits buffers
};

using LaunchObserver = std::function<void(const LaunchView &)>;

/// Time of one launch of the program, summed over steps.
struct LaunchTiming {
  std::string_view name;
  std::string_view op;
  int32_t layer = -1;
  int64_t bucketRows = 0; // max rows of the bucket it belongs to
  uint64_t calls = 0;
  double seconds = 0;
  // Of a call when the step has one row:
  uint64_t weightBytes = 0;  // read
  uint64_t multiplyAdds = 0; // of inputs with weights
  bool onIntegers = false;   // those are integer products
};

} // namespace grok::runtime
