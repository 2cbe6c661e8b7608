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

NamedKernelSpec sampleService(int64_t vocab, int64_t stride, int64_t maxRows) {
  NamedKernelSpec sample = serviceFor(KernelOp::sample);
  sample.spec.vocab = vocab;
  sample.spec.out = stride;
  sample.spec.maxRows = maxRows;
  return sample;
}

NamedKernelSpec exchangeService() { return serviceFor(KernelOp::exchange); }

NamedKernelSpec mergeService() { return serviceFor(KernelOp::merge); }

NamedKernelSpec persistentService() { return serviceFor(KernelOp::persistent); }

} // namespace grok::compiler
