// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The least weight of a row's nucleus, found by its digits: three times all blocks add
// numbers up by the next ten bits of their weights.
#pragma once

#include "compiler/targets/nvidia/generators/SampleTiles.h"

namespace grok::compiler {

class SampleNucleus {
public:
  SampleNucleus(GpuBuilder &kernel, SampleTiles &tiles);

  /// A tile's share, before the blocks meet for the first time.
  void clear(const SampleTile &tile);
  /// All digits of all rows that have a nucleus.
  void find();
  /// Bits of the row's least weight, after find().
  Value least(const SampleTile &tile);

private:
  struct State {
    Value found, better, limit; // digits so far; what is better than they; the bound of that
  };

  Value stateOf(const SampleTile &tile, int32_t count);
  Value histogram(const SampleTile &tile, int32_t digit);
  void addDigits(int32_t digit);
  State stateAfter(const SampleTile &tile, int32_t count);

  GpuBuilder &kernel;
  SampleTiles &tiles;
  Value states, histograms;
  Value digitSums, crossing; // shared: int64 [values of a digit]; the digit, what is better
};

} // namespace grok::compiler
