// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/GpuKernels.h"
#include <algorithm>

namespace grok::runtime {

std::vector<GpuKernelEntry> gpuKernelsOf(const plan::Plan &plan, const plan::GpuCode &code) {
  std::vector<GpuKernelEntry> entries;
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i)
    entries.push_back({plan.kernels()->Get(i), code.kernels()->Get(i)});
  for (uint32_t i = 0; code.services() && i < code.services()->size(); ++i)
    entries.push_back({code.services()->Get(i)->kernel(), code.services()->Get(i)->code()});
  return entries;
}

ServiceNumbers::ServiceNumbers(const plan::Plan &plan, const plan::GpuCode &code)
    : first(plan.kernels()->size()) {
  for (uint32_t i = 0; code.services() && i < code.services()->size(); ++i)
    ops.push_back(code.services()->Get(i)->kernel()->op()->str());
}

std::optional<uint32_t> ServiceNumbers::find(std::string_view op) const {
  const auto found = std::find(ops.begin(), ops.end(), op);
  if (found == ops.end())
    return std::nullopt;
  return first + static_cast<uint32_t>(found - ops.begin());
}

} // namespace grok::runtime
