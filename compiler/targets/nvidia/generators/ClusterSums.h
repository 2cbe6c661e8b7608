// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two blocks of a cluster make one product: each sums half of the slices, and each
// has the results of one of its two panels.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"

namespace grok::compiler {

/// What a block sends the other, through that one's shared memory. The two halves are
/// the last two terms of the tree of sums (docs/numerics.md).
class ClusterSums {
public:
  static constexpr int64_t blocks = 2;

  /// Of products of up to `rows` rows.
  ClusterSums(GpuBuilder &kernel, int64_t rows);

  /// Before the first product.
  void start();
  /// A sum over the block's slices: `column` 0..31 of the two panels. `own` is where
  /// the block's results stand, as an address.
  void give(Value sum, Value row, Value column, Value own);
  /// After all were given: adds what the other block gave to the block's results, whose
  /// place in shared memory is resultAt(row, column). The block's threads must meet
  /// before they read them.
  void add(llvm::function_ref<Value(Value row, Value column)> resultAt);

private:
  Value placeOf(Value row, Value columnOfPanel);

  GpuBuilder &kernel;
  const int64_t rows;
  Value received; // float32 [2][rows][16], shared
  Value turn;     // variable: which of the two, so that a slow block's is not overwritten
};

} // namespace grok::compiler
