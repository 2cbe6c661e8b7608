// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Services.h"

namespace grok::compiler {

static NamedKernelSpec serviceFor(KernelOp op) {
  NamedKernelSpec service{std::string("service_") + nameOf(op), {}};
  service.spec.op = op;
  return service;
}

std::vector<NamedKernelSpec> gpuServices() {
  NamedKernelSpec read = serviceFor(KernelOp::read);
  read.spec.maxRows = int64_t(1) << 20; // tiles: no bound but that of the grid
  return {read};
}

} // namespace grok::compiler
