// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// GPU kernels that no launch of a program names, but that the runtime needs.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"

#include <optional>
#include <vector>

namespace grok::compiler {

/// The services that every plan for GPUs carries (GpuCode.services of the plan).
std::vector<NamedKernelSpec> gpuServices();

/// The one that draws tokens from rows of logits, `stride` floats each.
NamedKernelSpec sampleService(int64_t vocab, int64_t stride, int64_t maxRows);

/// The one that does collectives, for plans of several ranks.
NamedKernelSpec exchangeService();

/// The one that does a collective of few rows and the residual_norm that reads it, with the
/// numbers of all of that op among `kernels`; nothing if there are none, if they differ, or
/// if no row fits on one of the chips.
std::optional<NamedKernelSpec> exchangeNormService(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                   llvm::ArrayRef<std::string> chips,
                                                   int64_t maxRows);

/// The one that puts together what ranks have sent each other, likewise.
NamedKernelSpec mergeService();

/// The one that does the launches of a step of one row, for plans that ask for it.
NamedKernelSpec persistentService();

} // namespace grok::compiler
