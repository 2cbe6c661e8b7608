// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over all threads of a block, in one fixed order.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"

namespace grok::compiler {

/// Shared memory for one sum of a block at a time.
class BlockSum {
public:
  explicit BlockSum(GpuBuilder &kernel);

  /// The sum of every thread's float32, in all threads: lanes of a warp as a
  /// butterfly, then warps in ascending order. All threads must call it.
  Value of(GpuBuilder &kernel, Value value) const;

private:
  Value partials; // float32 [warps]
};

} // namespace grok::compiler
