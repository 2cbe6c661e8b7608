// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Services.h"

#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include <algorithm>

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

std::optional<NamedKernelSpec> exchangeNormService(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                   llvm::ArrayRef<std::string> chips,
                                                   int64_t maxRows) {
  NamedKernelSpec service = serviceFor(KernelOp::exchangeNorm);
  KernelSpec &spec = service.spec;
  for (const NamedKernelSpec &kernel : kernels) {
    if (kernel.spec.op != KernelOp::residualNorm)
      continue;
    if (spec.emb && (spec.emb != kernel.spec.emb || spec.eps != kernel.spec.eps))
      return std::nullopt;
    spec.emb = kernel.spec.emb;
    spec.eps = kernel.spec.eps;
  }
  spec.maxRows = spec.emb ? maxRows : 0;
  for (const std::string &chip : chips)
    if (const NvidiaChip *known = nvidiaChipNamed(chip); known && spec.emb)
      spec.maxRows = std::min(spec.maxRows, exchangeNormRows(spec.emb, *known));
  return spec.maxRows ? std::optional(service) : std::nullopt;
}

NamedKernelSpec mergeService() { return serviceFor(KernelOp::merge); }

NamedKernelSpec persistentService() { return serviceFor(KernelOp::persistent); }

} // namespace grok::compiler
