// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Matrix kernels of one specification on the CPU and in the emulator, on the same
// random operands.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

namespace grok::compiler::testing {

/// Bytes of `panels` packed panels that any kernel takes: every code, multipliers
/// within their bounds, floats of about 1.
Buffer randomPanels(std::mt19937 &random, const WeightFormat &format, int64_t inputs,
                    int64_t panels);
/// bf16 scales of all row groups, of integers; else none.
Buffer randomScales(std::mt19937 &random, const WeightFormat &format, int64_t panels);

/// What the kernel of `spec` reads of float32 rows.
Buffer inputRows(const KernelSpec &spec, const Buffer &rows, int64_t count);

Buffer copyOf(const Buffer &buffer);

/// Runs `spec` on a CPU with FMA, on tiles [0, tiles), and gives all operands.
std::vector<Buffer> runOnCpu(const KernelSpec &spec, const Step &step, int64_t tiles,
                             const std::vector<const Buffer *> &before);
/// Runs it in the emulator in every way and compares all operands, bit for bit.
void expectOnGpu(const KernelSpec &spec, const Step &step, const std::vector<Buffer> &expected,
                 const std::vector<const Buffer *> &before, const std::string &chip = "sm_90a");
void expectSameBits(const KernelSpec &spec, const Step &step, int64_t tiles,
                    const std::vector<const Buffer *> &before, const std::string &chip = "sm_90a");

} // namespace grok::compiler::testing
