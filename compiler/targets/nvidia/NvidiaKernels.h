// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The one call that turns kernel specifications into code for NVIDIA GPUs.
//
//   auto code = compileNvidiaKernels(kernels, {"sm_80", "sm_90a"}, {});
//   if (!code) return code.error();             // one line
//   code->chips[i].kernels[j].ptx               // of kernels[j]
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/nvidia/Chips.h"
#include "compiler/targets/nvidia/GpuShape.h"
#include "compiler/targets/nvidia/Ptxas.h"

#include <memory>

namespace grok::compiler {

/// One kernel for one chip.
struct NvidiaKernel {
  GpuShape shape;
  std::string ptx;
  std::vector<uint8_t> cubin;     // empty without ptxas
  std::vector<uint8_t> emulation; // object for the host, until all are linked
  PtxasReport report;             // zeros without ptxas
};

struct NvidiaChipCode {
  std::string chip;                  // "sm_90a"
  std::vector<NvidiaKernel> kernels; // in the order given
  std::vector<uint8_t> emulation;    // ELF shared object with all of them
};

struct NvidiaOptions {
  unsigned threads = 0; // 0 = one per core
  std::string cacheDir; // as in CpuOptions
  std::string dumpDir;  // for SYMBOL.CHIP.{mlir,nvvm.mlir,ll,ptx,ptxas.txt,sass}
  bool emulate = false; // adds translations for the emulator
  bool assemble = true; // with ptxas, where one is found
  /// Which of the kernels the one of op persistent does; their numbers name them.
  std::vector<size_t> persistent;
};

struct NvidiaCode {
  std::vector<NvidiaChipCode> chips; // in the order asked for
  int64_t kernelsCompiled = 0;       // kernels x chips made in this call
  int64_t kernelsFromCache = 0;
  std::string assembler; // "ptxas 13.0.88", empty without
};

/// Compiles every kernel for every chip. Equal input and assembler give equal
/// bytes. A kernel that calls what is not there is an error.
tl::expected<NvidiaCode, std::string> compileNvidiaKernels(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                           llvm::ArrayRef<std::string> chips,
                                                           const NvidiaOptions &options);

} // namespace grok::compiler
