// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// 64-bit integers over the threads of a block, and the meeting of all blocks.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"

namespace grok::compiler {

/// All threads of a block call together.
class BlockNumbers {
public:
  explicit BlockNumbers(GpuBuilder &kernel);

  /// Over all threads, in all of them.
  Value sum(Value number);
  Value greatest(Value number);
  /// The sums over lower threads, and over all.
  std::pair<Value, Value> sumBefore(Value number);

  /// Ends when all blocks of the launch, which must be resident together, have come:
  /// what they wrote before can then be read.
  void meet();

private:
  Value shuffled(Value number, llvm::function_ref<Value(Value)> shuffle);
  Value reduce(Value number, llvm::function_ref<Value(Value, Value)> combine);

  GpuBuilder &kernel;
  Value ofWarps; // int64 [warps]
  Value meeting; // int32: how many blocks have come; how often all had
};

} // namespace grok::compiler
