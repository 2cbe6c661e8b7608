// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The CPU levels that plans carry code for, each with everything that is tuned
// for it: one table per target.
#pragma once

#include "compiler/kernels/TileShape.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <string>
#include <vector>

namespace grok::compiler {

struct CpuLevel {
  std::string name;                  // as in the plan: "x86-64-v3"
  std::string processor;             // LLVM's -mcpu
  std::string attributes;            // LLVM's -mattr beyond the processor's
  std::vector<std::string> features; // CPUID features needed, LLVM's spelling
  TileShape tiles;
};

/// All levels, the most widely available first.
llvm::ArrayRef<CpuLevel> cpuLevels();

/// Levels for tests alone: the code of levels that few machines have, with
/// plain arithmetic in place of their instructions.
llvm::ArrayRef<CpuLevel> expandedLevels();

/// The level of that name, an expanded one too, or null.
const CpuLevel *cpuLevelNamed(llvm::StringRef name);

/// Whether this process can execute code of `level`; asks the kernel for tile
/// registers.
bool canHostRun(const CpuLevel &level);

} // namespace grok::compiler
