// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which GPU of this machine runs a plan, and with which of the plan's code.
#pragma once

#include "runtime/device/cuda/Driver.h"
#include "runtime/plan/plan_generated.h"
#include <string>

namespace grok::runtime::cuda {

/// A device of this machine with the code for it.
struct Gpu {
  Driver driver = {};
  int device = 0;
  std::string name; // "NVIDIA H200"
  std::string bus;  // "0000:41:00.0"
  int major = 0, minor = 0;
  int multiprocessors = 0;
  int sharedBytes = 0; // that a block may have
  const plan::GpuCode *code = nullptr;

  /// Whether the code's machine code runs here; else its PTX is compiled by the driver.
  bool takesMachineCode() const;
};

/// Of the devices for which the plan has code number `place`, counted round: a process
/// may see one alone of the several that its host has. `chip` chooses among the plan's;
/// empty = $GROK_GPU_CODE, else the newest that runs. The error names the devices and the plan's
/// chips.
Result<Gpu> findGpu(const plan::Plan &plan, std::string_view chip, int place);

} // namespace grok::runtime::cuda
