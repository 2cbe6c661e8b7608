// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/SampleNucleus.h"

#include "compiler/targets/nvidia/generators/SampleMemory.h"

namespace grok::compiler {

static constexpr int64_t betterAt = 8, limitAt = 16; // in a state

SampleNucleus::SampleNucleus(GpuBuilder &kernel, SampleTiles &tiles)
    : kernel(kernel), tiles(tiles),
      states(kernel.scratchMemory(kernel.spec.maxRows * sampleDigits * sampleStateBytes)),
      histograms(kernel.scratchMemory(kernel.spec.maxRows * sampleDigits * sampleDigitValues * 8)),
      digitSums(kernel.sharedMemory(sampleDigitValues * 8)), crossing(kernel.sharedMemory(16)) {}

// After so many digits.
Value SampleNucleus::stateOf(const SampleTile &tile, int32_t count) {
  Value row = kernel.rowAddress(states, tile.row, sampleDigits * sampleStateBytes);
  return kernel.offset(row, (count - 1) * sampleStateBytes);
}

Value SampleNucleus::histogram(const SampleTile &tile, int32_t digit) {
  Value row = kernel.rowAddress(histograms, tile.row, sampleDigits * sampleDigitValues * 8);
  return kernel.offset(row, digit * sampleDigitValues * 8);
}

void SampleNucleus::clear(const SampleTile &tile) {
  kernel.when(tiles.isKind(tile.kind, grokDrawNucleus), [&] {
    Value own = kernel.add(kernel.mul(tile.chunk, kernel.threads), kernel.thread);
    kernel.loop(own, kernel.index(sampleDigits * sampleDigitValues),
                tiles.chunksOfRow() * kernel.threads, [&](Value i) {
                  kernel.store(kernel.index(0), kernel.rowAddress(histogram(tile, 0), i, 8));
                });
  });
}

void SampleNucleus::find() {
  for (int32_t digit = 0; digit < sampleDigits; ++digit) {
    addDigits(digit);
    tiles.block.meet();
  }
}

// Adds the numbers of all that have the digits so far to the histogram of the next.
void SampleNucleus::addDigits(int32_t digit) {
  const int32_t shift = (sampleDigits - 1 - digit) * sampleDigitBits;
  tiles.forNuclei([&](const SampleTile &tile, Value top) {
    Value found = digit ? stateAfter(tile, digit).found : kernel.word(0);
    kernel.forThreads(sampleDigitValues, [&](Value i) {
      kernel.store(kernel.index(0), kernel.rowAddress(digitSums, i, 8));
    });
    kernel.barrier();
    for (Value weight : tiles.weights(tile, top)) {
      Value bits = kernel.bitsOf(weight), number = tiles.number(weight);
      Value isOne = kernel.equal(kernel.shiftRight(bits, shift + sampleDigitBits), found);
      Value counts = kernel.both(isOne, kernel.less(kernel.index(0), number));
      kernel.when(counts, [&] {
        Value value =
            kernel.bitAnd(kernel.shiftRight(bits, shift), kernel.word(sampleDigitValues - 1));
        kernel.addAtomically(kernel.rowAddress(digitSums, kernel.toIndex(value), 8), number);
      });
    }
    kernel.barrier();
    kernel.forThreads(sampleDigitValues, [&](Value i) {
      Value number = kernel.load(kernel.i64, kernel.rowAddress(digitSums, i, 8));
      kernel.when(kernel.less(kernel.index(0), number), [&] {
        kernel.addAtomically(kernel.rowAddress(histogram(tile, digit), i, 8), number);
      });
    });
  });
}

// Of the values of a digit, from the greatest on, that one with which what is better
// would weigh more than the bound.
SampleNucleus::State SampleNucleus::stateAfter(const SampleTile &tile, int32_t count) {
  constexpr int64_t each = SampleTiles::each; // values of a thread
  State before{kernel.word(0), kernel.index(0), Value()};
  if (count > 1) {
    Value from = stateOf(tile, count - 1);
    before = {kernel.load(kernel.i32, from), kernel.load(kernel.i64, kernel.offset(from, betterAt)),
              kernel.load(kernel.i64, kernel.offset(from, limitAt))};
  }
  Value first = kernel.sub(kernel.index(sampleDigitValues - 1), kernel.mul(kernel.thread, each));
  Values sums;
  Value own = kernel.index(0);
  for (int64_t i = 0; i < each; ++i) {
    Value at = kernel.rowAddress(histogram(tile, count - 1), kernel.add(first, -i), 8);
    sums.push_back(kernel.load(kernel.i64, at));
    own = kernel.add(own, sums.back());
  }
  auto [lower, all] = tiles.block.sumBefore(own);
  if (count == 1) {
    Value share = kernel.load(kernel.i64, kernel.offset(tile.draw, offsetof(GrokDraw, nucleus)));
    before.limit = kernel.highProduct(all, share);
  }
  Value better = kernel.add(before.better, lower);
  for (int64_t i = 0; i < each; ++i) {
    Value with = kernel.add(better, sums[i]);
    kernel.when(tiles.isBetween(better, before.limit, with), [&] {
      kernel.store(kernel.add(first, -i), crossing);
      kernel.store(better, kernel.offset(crossing, 8));
    });
    better = with;
  }
  kernel.barrier();
  Value value = kernel.narrow(kernel.load(kernel.i64, crossing), kernel.i32);
  State after{kernel.bitOr(kernel.shiftLeft(before.found, sampleDigitBits), value),
              kernel.load(kernel.i64, kernel.offset(crossing, 8)), before.limit};
  kernel.when(tiles.isFirstOfRow(tile), [&] {
    Value to = stateOf(tile, count);
    kernel.store(after.found, to);
    kernel.store(after.better, kernel.offset(to, betterAt));
    kernel.store(after.limit, kernel.offset(to, limitAt));
  });
  return after;
}

Value SampleNucleus::least(const SampleTile &tile) { return stateAfter(tile, sampleDigits).found; }

} // namespace grok::compiler
