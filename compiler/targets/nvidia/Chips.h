// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The NVIDIA chips that plans carry code for, each with everything that is
// tuned for it: one table per target.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace grok::compiler {

/// Sources: CUDA C++ Programming Guide, "Compute Capabilities"; PTX ISA,
/// "Release Notes" for the versions.
struct NvidiaChip {
  std::string name;        // as in the plan and for LLVM and ptxas: "sm_90a"
  std::string features;    // LLVM's: the PTX version; its default would end the process
  int64_t major, minor;    // compute capability that the device must have
  bool runsOnNewer;        // PTX for it may be compiled for later chips ("a" chips: no)
  int64_t sharedBytes;     // a block may ask for
  int64_t multiprocessors; // of the largest product, for grids
  bool hasBulkCopies;      // cp.async.bulk, mbarrier transactions, clusters
  bool hasEarlyLaunches;   // griddepcontrol: programmatic dependent launch
};

/// All chips, the oldest first.
llvm::ArrayRef<NvidiaChip> nvidiaChips();

/// The chip of that name, or null.
const NvidiaChip *nvidiaChipNamed(llvm::StringRef name);

} // namespace grok::compiler
