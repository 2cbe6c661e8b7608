// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// GPU kernels that no launch of a program names, but that the runtime needs.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"

#include <vector>

namespace grok::compiler {

/// The services that every plan for GPUs carries (GpuCode.services of the plan).
std::vector<NamedKernelSpec> gpuServices();

} // namespace grok::compiler
