// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/SampleTiles.h"

#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/SampleMemory.h"

#include <limits>

namespace grok::compiler {

static constexpr int32_t allButSign = 0x7fffffff, infinityBits = 0x7f800000;
static constexpr int32_t notFinite = 0x7fffffff; // ranks above all logits
static constexpr int64_t mostBlocks = 256;       // two of a multiprocessor: more only meet

SampleTiles::SampleTiles(GpuBuilder &kernel)
    : block(kernel), kernel(kernel), chunks(sampleTilesOf(kernel.spec.vocab)),
      tops(kernel.scratchMemory(kernel.spec.maxRows * chunks * 8)) {
  assert(each * kernel.threads == sampleTileLogits);
}

void SampleTiles::forAll(llvm::function_ref<void(const SampleTile &)> body) {
  Value tiles = kernel.mul(kernel.logitRows, chunks);
  kernel.forTiles(tiles, std::min(kernel.spec.maxRows * chunks, mostBlocks), [&](Value number) {
    SampleTile tile;
    tile.row = kernel.quotient(number, chunks);
    tile.chunk = kernel.remainder(number, chunks);
    tile.first =
        kernel.mul(kernel.add(kernel.mul(tile.chunk, kernel.threads), kernel.thread), each);
    tile.draw = kernel.rowAddress(kernel.draws, tile.row, sizeof(GrokDraw));
    tile.kind = kernel.load(kernel.i32, tile.draw);
    body(tile);
  });
}

void SampleTiles::forNuclei(llvm::function_ref<void(const SampleTile &, Value)> body) {
  forAll([&](const SampleTile &tile) {
    kernel.when(isKind(tile.kind, grokDrawNucleus), [&] {
      Value greatest = top(tile);
      kernel.when(isFinite(greatest), [&] { body(tile, greatest); });
    });
  });
}

// Sum, or greatest, of the numbers of a row's tiles.
Value SampleTiles::overRow(Value numbers, const SampleTile &tile,
                           llvm::function_ref<Value(Value chunk, Value number)> value, bool isSum) {
  const int64_t neutral = isSum ? 0 : std::numeric_limits<int64_t>::min();
  Value row = ofRow(numbers, tile);
  Value own =
      kernel.loop(kernel.thread, kernel.index(chunks), kernel.threads, {kernel.index(neutral)},
                  [&](Value chunk, ValueRange carried) -> Values {
                    Value number = kernel.load(kernel.i64, kernel.rowAddress(row, chunk, 8));
                    number = value(chunk, number);
                    if (isSum)
                      return {kernel.add(carried[0], number)};
                    return {kernel.select(kernel.less(carried[0], number), number, carried[0])};
                  })[0];
  return isSum ? block.sum(own) : block.greatest(own);
}

Value SampleTiles::sum(Value numbers, const SampleTile &tile) {
  return overRow(numbers, tile, [](Value, Value number) { return number; }, true);
}

Value SampleTiles::sumBefore(Value numbers, const SampleTile &tile) {
  return overRow(
      numbers, tile,
      [&](Value chunk, Value number) {
        return kernel.select(kernel.less(chunk, tile.chunk), number, kernel.index(0));
      },
      true);
}

// ---- logits

// `missing` beyond the vocabulary.
Values SampleTiles::logits(const SampleTile &tile, Value missing) {
  const int64_t vocab = kernel.spec.vocab, stride = kernel.spec.out;
  Value row = kernel.rowAddress(kernel.operand(0), tile.row, stride * 4);
  Value exists = kernel.less(tile.first, kernel.index(vocab));
  Value from = kernel.rowAddress(row, kernel.select(exists, tile.first, kernel.index(0)), 4);
  Value loaded = kernel.load(kernel.vectorOf(kernel.f32, each), from, each * 4);
  Values logits;
  for (int64_t i = 0; i < each; ++i) {
    Value isToken = kernel.less(kernel.add(tile.first, i), kernel.index(vocab));
    logits.push_back(kernel.select(isToken, kernel.extract(loaded, i), missing));
  }
  return logits;
}

// Numbers in the order of logits, of lower ids first where they are equal; greater than
// all if not finite.
Value SampleTiles::rankOf(Value logit, Value id) {
  Value bits = kernel.bitsOf(kernel.add(logit, kernel.number(0.0f))); // -0 is 0
  // Of negative numbers, more is less.
  Value isNegative = kernel.less(bits, kernel.word(0));
  Value turned = kernel.select(isNegative, kernel.bitXor(bits, kernel.word(allButSign)), bits);
  Value isFinite =
      kernel.less(kernel.bitAnd(bits, kernel.word(allButSign)), kernel.word(infinityBits));
  Value ordered = kernel.select(isFinite, turned, kernel.word(notFinite));
  Value low = kernel.bitXor(kernel.toWord(id), kernel.word(-1));
  return kernel.bitOr(kernel.shiftLeft(kernel.widen(ordered, kernel.i64), 32),
                      kernel.widenUnsigned(low, kernel.i64));
}

void SampleTiles::findTops(llvm::function_ref<void(const SampleTile &)> meanwhile) {
  forAll([&](const SampleTile &tile) {
    // Beyond the vocabulary, what no token is less than.
    Values found = logits(tile, kernel.number(-std::numeric_limits<float>::max()));
    Value best = rankOf(found[0], tile.first);
    for (int64_t i = 1; i < each; ++i) {
      Value rank = rankOf(found[i], kernel.add(tile.first, i));
      best = kernel.select(kernel.less(best, rank), rank, best);
    }
    best = block.greatest(best);
    kernel.when(isFirstThread(), [&] { kernel.store(best, ofTile(tops, tile)); });
    meanwhile(tile);
  });
}

Value SampleTiles::top(const SampleTile &tile) {
  return overRow(tops, tile, [](Value, Value rank) { return rank; }, false);
}

Value SampleTiles::isFinite(Value top) { return kernel.less(key(top), kernel.word(notFinite)); }

// ---- weights

Values SampleTiles::weights(const SampleTile &tile, Value top) {
  Value ordered = key(top);
  Value isNegative = kernel.less(ordered, kernel.word(0));
  Value topLogit = kernel.fromBits(
      kernel.select(isNegative, kernel.bitXor(ordered, kernel.word(allButSign)), ordered));
  Value inverse = kernel.load(kernel.f32, kernel.offset(tile.draw, offsetof(GrokDraw, inverse)));
  Value least = kernel.number(-std::numeric_limits<float>::max()), none = kernel.number(0.0f);
  Values weights = logits(tile, topLogit);
  for (int64_t i = 0; i < each; ++i) {
    // Never infinite, so that no product is 0 times infinity.
    Value below = kernel.maximum(kernel.sub(weights[i], topLogit), least);
    Value isToken = kernel.less(kernel.add(tile.first, i), kernel.index(kernel.spec.vocab));
    weights[i] = kernel.select(isToken, exponential(kernel, kernel.mul(below, inverse)), none);
  }
  return weights;
}

Value SampleTiles::number(Value weight) {
  constexpr auto unit = static_cast<float>(int64_t(1) << grokDrawBits);
  return kernel.toCount(kernel.mul(weight, kernel.number(unit)));
}

Values SampleTiles::keptNumbers(const SampleTile &tile, Value top, Value least) {
  Values numbers;
  for (Value weight : weights(tile, top))
    numbers.push_back(
        kernel.select(kernel.less(kernel.bitsOf(weight), least), kernel.index(0), number(weight)));
  return numbers;
}

} // namespace grok::compiler
