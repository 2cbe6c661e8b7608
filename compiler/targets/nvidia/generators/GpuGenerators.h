// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a specification to a GPU kernel in the gpu, nvvm, scf, arith, vector and
// llvm dialects.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"

#include <optional>
#include <string>

namespace grok::compiler {

/// Appends `gpu.module @kernels` with the kernel `symbol` to `module`. `spec` must
/// be free of problems (problemIn, problemOnGpu). `isTask`: as a part of a
/// persistent kernel, which has no clusters.
GpuShape generateGpuKernel(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
                           const NvidiaChip &chip, bool isTask = false);

/// What GPUs cannot do of `spec`, or nothing.
std::optional<std::string> problemOnGpu(const KernelSpec &spec);

/// Rows of so many numbers that one launch of exchange_norm takes, at most.
int64_t exchangeNormRows(int64_t emb, const NvidiaChip &chip);
int64_t exchangeNormClusterBlocks(const NvidiaChip &chip);

// One per op: threads of a block, and the body of a kernel whose frame exists.
namespace gpu_kernels {
inline constexpr int64_t rowThreads = 256;   // where a block works on a row
inline constexpr int64_t routeThreads = 128; // eight chains of sixteen experts
void emitEmbed(GpuBuilder &kernel);
void emitRmsNorm(GpuBuilder &kernel);
void emitResidualNorm(GpuBuilder &kernel);
void emitCombine(GpuBuilder &kernel);
void emitRoute(GpuBuilder &kernel);
void emitGroup(GpuBuilder &kernel);
void emitMapExperts(GpuBuilder &kernel);
void emitQuantize(GpuBuilder &kernel);
void emitAttention(GpuBuilder &kernel);
void emitLinear(GpuBuilder &kernel);
void emitUnembed(GpuBuilder &kernel);
void emitGateUp(GpuBuilder &kernel);
void emitDownCombine(GpuBuilder &kernel);
void emitQkv(GpuBuilder &kernel);
void emitExchange(GpuBuilder &kernel);
void emitExchangeNorm(GpuBuilder &kernel);
void emitMerge(GpuBuilder &kernel);
void emitRead(GpuBuilder &kernel);
void emitSample(GpuBuilder &kernel);
} // namespace gpu_kernels

} // namespace grok::compiler
