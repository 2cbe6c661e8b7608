// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Right kernels of the kinds that generators emit, small enough to be read whole.
#pragma once

#include "tests/compiler/targets/nvidia/emulator/EmulatedKernel.h"

namespace grok::test {

/// Parameters: in, out, one counter that is zero at first.
struct SeededKernel {
  std::string text;
  Grid grid;
  uint32_t inWords, outWords;
  std::vector<uint32_t> (*expected)(const std::vector<uint32_t> &in);
};

extern const SeededKernel pipeline; // cp.async, wait_group, barriers
extern const SeededKernel ring;     // bulk copies on an mbarrier, phase by phase
extern const SeededKernel store;    // bulk copies out of shared memory
extern const SeededKernel branches; // shuffles and barriers beside branches
extern const SeededKernel meeting;  // blocks that wait for each other
extern const SeededKernel swizzle;  // a tile whose columns are permuted by row
extern const SeededKernel cluster;  // blocks that read each other's shared memory
extern const SeededKernel early;    // starts before the launch before has ended

} // namespace grok::test
