// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/KernelGenerators.h"

#include "llvm/Support/ErrorHandling.h"

namespace grok::compiler {

static void emitBody(KernelBuilder &kernel) {
  switch (kernel.spec.op) {
  case KernelOp::embed:
    return emitEmbed(kernel);
  case KernelOp::rmsNorm:
    return emitRmsNorm(kernel);
  case KernelOp::qkv:
    return emitQkv(kernel);
  case KernelOp::attention:
    return emitAttention(kernel);
  case KernelOp::linear:
    return emitLinear(kernel);
  case KernelOp::residualNorm:
    return emitResidualNorm(kernel);
  case KernelOp::route:
    return emitRoute(kernel);
  case KernelOp::mapExperts:
    return emitMapExperts(kernel);
  case KernelOp::group:
    return emitGroup(kernel);
  case KernelOp::gateUp:
    return emitGateUp(kernel);
  case KernelOp::downCombine:
    return emitDownCombine(kernel);
  case KernelOp::combine:
    return emitCombine(kernel);
  case KernelOp::unembed:
    return emitUnembed(kernel);
  case KernelOp::quantize:
    return emitQuantize(kernel);
  case KernelOp::read:
  case KernelOp::persistent:
  case KernelOp::sample:
  case KernelOp::exchange:
  case KernelOp::exchangeNorm:
  case KernelOp::merge:
    llvm_unreachable("services are for GPUs");
  }
}

int64_t generateKernel(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
                       const TileShape &tiles) {
  KernelBuilder kernel(module, symbol, spec, tiles);
  emitBody(kernel);
  return kernel.scratchBytes();
}

} // namespace grok::compiler
