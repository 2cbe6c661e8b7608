// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/GpuKernels.h"

namespace grok::runtime {

std::vector<GpuKernelEntry> gpuKernelsOf(const plan::Plan &plan, const plan::GpuCode &code) {
  std::vector<GpuKernelEntry> entries;
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i)
    entries.push_back({plan.kernels()->Get(i), code.kernels()->Get(i)});
  for (uint32_t i = 0; code.services() && i < code.services()->size(); ++i)
    entries.push_back({code.services()->Get(i)->kernel(), code.services()->Get(i)->code()});
  return entries;
}

std::optional<uint32_t> serviceOf(const plan::Plan &plan, const plan::GpuCode &code,
                                  std::string_view op) {
  for (uint32_t i = 0; code.services() && i < code.services()->size(); ++i)
    if (code.services()->Get(i)->kernel()->op()->string_view() == op)
      return plan.kernels()->size() + i;
  return std::nullopt;
}

} // namespace grok::runtime
