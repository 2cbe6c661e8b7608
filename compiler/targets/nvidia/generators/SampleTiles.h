// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of logits in tiles of 1024, and what drawing a token does with each: ranks of
// logits, weights, numbers (docs/numerics.md, "Sampling").
#pragma once

#include "compiler/targets/nvidia/generators/BlockNumbers.h"
#include "runtime/plan/KernelABI.h"

namespace grok::compiler {

/// A part of a row, while a block works on it.
struct SampleTile {
  Value row, chunk, first; // the thread's first id
  Value draw;              // address of its GrokDraw
  Value kind;              // GrokDrawKind
};

class SampleTiles {
public:
  static constexpr int64_t each = 4; // logits of a thread

  /// `spec.vocab` logits of rows of `spec.out`, operand 0 of the kernel.
  explicit SampleTiles(GpuBuilder &kernel);

  /// Blocks take the tiles of all rows in turn.
  void forAll(llvm::function_ref<void(const SampleTile &)> body);
  /// Those of rows that have a nucleus and no logit that is not finite.
  void forNuclei(llvm::function_ref<void(const SampleTile &, Value top)> body);

  int64_t chunksOfRow() const { return chunks; }
  Value isFirstThread() { return kernel.equal(kernel.thread, kernel.index(0)); }
  Value isFirstOfRow(const SampleTile &tile) {
    return kernel.both(isFirstThread(), kernel.equal(tile.chunk, kernel.index(0)));
  }
  Value isBetween(Value first, Value number, Value end) { // first <= number < end
    return kernel.both(kernel.less(number, end), kernel.less(kernel.add(first, -1), number));
  }
  Value isKind(Value kind, int32_t wanted) { return kernel.equal(kind, kernel.word(wanted)); }
  Value isAbove(Value kind, int32_t other) { return kernel.less(kernel.word(other), kind); }
  /// Addresses of 64-bit numbers, one for each tile: those of the row, the tile's own.
  Value ofRow(Value numbers, const SampleTile &tile) {
    return kernel.rowAddress(numbers, kernel.mul(tile.row, chunks), 8);
  }
  Value ofTile(Value numbers, const SampleTile &tile) {
    return kernel.rowAddress(ofRow(numbers, tile), tile.chunk, 8);
  }

  /// Sum of the numbers of the row's tiles; of those before this tile.
  Value sum(Value numbers, const SampleTile &tile);
  Value sumBefore(Value numbers, const SampleTile &tile);

  // ---- logits

  /// Keeps the greatest rank of each tile; all blocks meet before top().
  void findTops(llvm::function_ref<void(const SampleTile &)> meanwhile);
  /// The greatest rank of a row: of its largest logit, of the lowest id if several are
  /// equal; or of the first that is not finite.
  Value top(const SampleTile &tile);
  Value isFinite(Value top);
  Value idOf(Value top) { return kernel.bitXor(kernel.narrow(top, kernel.i32), kernel.word(-1)); }

  // ---- weights, each thread its own `each`

  /// e^((logit - top) / temperature), 0 beyond the vocabulary.
  Values weights(const SampleTile &tile, Value top);
  Value number(Value weight);
  /// Numbers of weights of at least the bits `least`, 0 of others.
  Values keptNumbers(const SampleTile &tile, Value top, Value least);

  BlockNumbers block;

private:
  Value overRow(Value numbers, const SampleTile &tile,
                llvm::function_ref<Value(Value chunk, Value number)> value, bool isSum);
  Values logits(const SampleTile &tile, Value missing);
  Value rankOf(Value logit, Value id);
  Value key(Value top) { return kernel.narrow(kernel.shiftRightSigned(top, 32), kernel.i32); }

  GpuBuilder &kernel;
  int64_t chunks; // of a row
  Value tops;     // ranks, one of each tile
};

} // namespace grok::compiler
