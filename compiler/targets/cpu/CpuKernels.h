// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The one call that turns kernel specifications into machine code for CPUs.
//
//   std::vector<NamedKernelSpec> kernels = {{"linear_0", spec}, ...};
//   auto code = compileCpuKernels(kernels, {"x86-64-v2", "x86-64-v3"}, {});
//   if (!code) return code.error();        // one line
//   code->levels[i].image                  // bytes of an ELF shared object
//   code->scratchBytes[j]                  // of kernels[j]
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "compiler/targets/cpu/CpuLevels.h"

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace grok::compiler {

/// A kernel and the name under which every level's shared object exports it.
struct NamedKernelSpec {
  std::string symbol; // [A-Za-z_][A-Za-z0-9_]*, unique within one call
  KernelSpec spec;
};

struct CpuOptions {
  unsigned threads = 0; // 0 = one per core
  /// Folder of compiled kernels, created 0700 if missing; empty = no cache.
  std::string cacheDir;
  /// Folder for SYMBOL.LEVEL.{mlir,ll,s} of every kernel; empty = none. A dump
  /// compiles everything afresh.
  std::string dumpDir;
};

/// One shared object: no imports, one exported function per kernel, with the
/// signature GrokKernel of runtime/plan/KernelABI.h.
struct CpuLevelCode {
  std::string level;                 // "x86-64-v3"
  std::vector<std::string> features; // CPUID features needed, LLVM's spelling
  std::vector<uint8_t> image;
};

struct CpuCode {
  std::vector<CpuLevelCode> levels;  // in the order asked for
  std::vector<int64_t> scratchBytes; // per kernel, the largest over all levels
  int64_t objectsCompiled = 0;       // kernels x levels made in this call
  int64_t objectsFromCache = 0;
};

/// Compiles every kernel for every level. Equal input gives equal bytes, with
/// any number of threads and with or without the cache. An error is one line.
/// Safe to call from several threads; resets every llvm::cl::opt of the
/// process to its default (lld does so).
tl::expected<CpuCode, std::string> compileCpuKernels(llvm::ArrayRef<NamedKernelSpec> kernels,
                                                     llvm::ArrayRef<std::string> levels,
                                                     const CpuOptions &options);

/// Assembly text of one kernel, for tests and inspection.
tl::expected<std::string, std::string> assembleCpuKernel(const NamedKernelSpec &kernel,
                                                         const CpuLevel &level);

} // namespace grok::compiler
