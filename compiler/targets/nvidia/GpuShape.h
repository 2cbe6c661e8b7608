// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a GPU kernel wants to be launched: what its generator decides beside its
// code.
#pragma once

#include <cstdint>

namespace grok::compiler {

/// One-dimensional blocks and grids. Blocks take tiles in turn, so that a grid of
/// any size gives the same bits; more than maxBlocks would have nothing to do.
struct GpuShape {
  int64_t threads = 32;      // of a block, a multiple of 32
  int64_t maxBlocks = 1;     // that have work at the specification's most rows
  int64_t sharedBytes = 0;   // dynamic shared memory of a block
  int64_t scratchBytes = 0;  // device memory of the kernel, zero before its first launch
  int64_t clusterBlocks = 1; // the grid is a multiple of it
  /// Of one launch on a multiprocessor, at most, so that the next launch's fit beside
  /// them; 0 = as many as fit.
  int64_t residentBlocks = 0;
  bool startsEarly = false;   // waits itself for the launches before (griddepcontrol.wait)
  bool isCooperative = false; // its blocks wait for each other: all must run at a time
  bool awaitsPeers = false;   // waits for what launches of other ranks' devices write

  bool operator==(const GpuShape &) const = default;
};

} // namespace grok::compiler
