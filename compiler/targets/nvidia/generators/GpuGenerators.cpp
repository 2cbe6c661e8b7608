// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include "compiler/targets/nvidia/generators/AttentionTiles.h"
#include "compiler/targets/nvidia/generators/GpuProduct.h"

namespace grok::compiler {

namespace {

struct Generator {
  KernelOp op;
  int64_t threads; // of a block; 0 = productThreads: a product, which places its wait itself
  void (*emit)(GpuBuilder &);
};

constexpr Generator generators[] = {
    {KernelOp::embed, gpu_kernels::rowThreads, gpu_kernels::emitEmbed},
    {KernelOp::rmsNorm, gpu_kernels::rowThreads, gpu_kernels::emitRmsNorm},
    {KernelOp::residualNorm, gpu_kernels::rowThreads, gpu_kernels::emitResidualNorm},
    {KernelOp::combine, gpu_kernels::rowThreads, gpu_kernels::emitCombine},
    {KernelOp::route, gpu_kernels::routeThreads, gpu_kernels::emitRoute},
    {KernelOp::group, gpu_kernels::rowThreads, gpu_kernels::emitGroup},
    {KernelOp::mapExperts, gpu_kernels::rowThreads, gpu_kernels::emitMapExperts},
    {KernelOp::attention, AttentionTiles::threads, gpu_kernels::emitAttention},
    {KernelOp::quantize, gpu_kernels::rowThreads, gpu_kernels::emitQuantize},
    {KernelOp::linear, 0, gpu_kernels::emitLinear},
    {KernelOp::unembed, 0, gpu_kernels::emitUnembed},
    {KernelOp::gateUp, 0, gpu_kernels::emitGateUp},
    {KernelOp::downCombine, 0, gpu_kernels::emitDownCombine},
    {KernelOp::qkv, 0, gpu_kernels::emitQkv},
    {KernelOp::read, gpu_kernels::rowThreads, gpu_kernels::emitRead},
    {KernelOp::sample, gpu_kernels::rowThreads, gpu_kernels::emitSample},
    {KernelOp::exchange, gpu_kernels::rowThreads, gpu_kernels::emitExchange},
    {KernelOp::exchangeNorm, gpu_kernels::rowThreads, gpu_kernels::emitExchangeNorm},
    {KernelOp::merge, gpu_kernels::rowThreads, gpu_kernels::emitMerge},
};

} // namespace

static const Generator *generatorOf(KernelOp op) {
  for (const Generator &generator : generators)
    if (generator.op == op)
      return &generator;
  return nullptr;
}

std::optional<std::string> problemOnGpu(const KernelSpec &spec) {
  if (spec.numerics == Numerics::bf16)
    return "the literal bf16 mode runs on CPUs only: choose --numerics=fast or f32";
  if (!generatorOf(spec.op) && spec.op != KernelOp::persistent)
    return std::string(nameOf(spec.op)) + ": no GPU kernel";
  return std::nullopt;
}

GpuShape generateGpuKernel(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
                           const NvidiaChip &chip, bool isTask) {
  const Generator &generator = *generatorOf(spec.op);
  const bool isProduct = generator.threads == 0;
  const bool isExchangeNorm = spec.op == KernelOp::exchangeNorm; // places its wait itself, too
  const int64_t clusterBlocks = isProduct && !isTask ? productClusterBlocks(spec, chip)
                                : isExchangeNorm     ? exchangeNormClusterBlocks(chip)
                                                     : 1;
  const int64_t threads = isProduct ? productThreads(spec, chip, clusterBlocks) : generator.threads;
  GpuBuilder kernel(module, symbol, spec, chip, threads, clusterBlocks);
  kernel.isAhead = isTask;
  kernel.admitLaterLaunches();
  if (!isProduct && !isExchangeNorm)
    kernel.waitForEarlierLaunches();
  generator.emit(kernel);
  return kernel.shape();
}

} // namespace grok::compiler
