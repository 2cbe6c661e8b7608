// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The seam between executing a plan and the hardware that does it.
#pragma once

#include "runtime/device/Memory.h"
#include "runtime/plan/KernelABI.h"
#include <string_view>

namespace grok::runtime {

/// Holds the kernels of one plan and runs them. One launch at a time; the
/// caller orders launches of different sessions.
class Device {
public:
  virtual ~Device() = default;

  /// Zero-filled memory that kernels can read and write.
  virtual Result<Memory> allocate(uint64_t bytes, std::string_view what) = 0;

  /// Runs tiles [0, tiles) of the plan's kernel number `kernel` and waits for
  /// them. `buffers` holds one address per operand.
  virtual void launch(uint32_t kernel, const void *const *buffers, const GrokStepInfo &step,
                      int64_t tiles) = 0;

  /// Code level in use, e.g. "x86-64-v3".
  virtual std::string_view level() const = 0;
  virtual int threads() const = 0;
};

} // namespace grok::runtime
