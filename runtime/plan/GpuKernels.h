// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The kernels of a GPU's code as devices number them.
#pragma once

#include "runtime/plan/plan_generated.h"
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grok::runtime {

struct GpuKernelEntry {
  const plan::Kernel *kernel; // symbol, op, operands
  const plan::GpuKernel *code;
};

/// The plan's kernels in their order, then the services. The plan is checked.
std::vector<GpuKernelEntry> gpuKernelsOf(const plan::Plan &plan, const plan::GpuCode &code);

/// What services are for, and their numbers.
class ServiceNumbers {
public:
  ServiceNumbers() = default;
  ServiceNumbers(const plan::Plan &plan, const plan::GpuCode &code);

  /// Of the service for `op`, or nothing.
  std::optional<uint32_t> find(std::string_view op) const;

private:
  uint32_t first = 0;
  std::vector<std::string> ops; // of the services, in their order
};

} // namespace grok::runtime
