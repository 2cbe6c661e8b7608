// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Norms of a row by a block, in the order of the CPU kernels, so that their bits agree.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

namespace grok::compiler {

/// Bytes of a row, from..to. Multiples of 16.
struct RowPart {
  Value from, to;
};

/// The norm of one row at a time, beside up to `rows` that are held in shared memory if
/// all of them fit.
class RowNorm {
public:
  RowNorm(GpuBuilder &kernel, int64_t rows);
  /// Whether so many rows of so many numbers can be held.
  static bool fits(int64_t emb, int64_t rows, const NvidiaChip &chip);

  /// Where row number `place` is held, or `otherwise`.
  Value holder(size_t place, Value otherwise) { return held.empty() ? otherwise : held[place]; }
  bool holdsRows() const { return !held.empty(); }
  /// Starts to copy a row into its holder; gives where to read it after awaitRows() and
  /// the barrier of inverseRms().
  Value hold(size_t place, Value row);
  void awaitRows();

  RowPart wholeRow() { return {kernel.index(0), kernel.index(stride)}; }
  /// 1 / sqrt(mean of squares + eps), in all threads.
  Value inverseRms(Value row);
  /// What body(at) gives for the pieces at byte `at` of a row.
  void forPieces(RowPart part, llvm::function_ref<void(Value at)> body);
  void forPieces(llvm::function_ref<void(Value at)> body) { forPieces(wholeRow(), body); }
  Value piece(Value row, Value at);
  void put(Value value, Value row, Value at);
  /// row * inverse * scale
  Value normalized(Value x, Value inverse, Value scale) {
    return kernel.mul(scale, kernel.mul(x, kernel.broadcast(inverse, 4)));
  }
  /// output = rms_norm(row) * scale
  void emitNorm(Value row, Value scale, Value output);

private:
  Value chainOfSquares(Value row);

  GpuBuilder &kernel;
  int64_t stride;
  Value chainSums; // float32 [2][16]: chains 0 + 1 and 2 + 3, lane by lane
  Values held;
};

} // namespace grok::compiler
