// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// sample: a token of each row of logits, drawn as runtime/sampler does, of which this
// has the bits (docs/numerics.md, "Sampling"). Operands: logits, float32 [logit rows,
// out]; tokens, int32 [logit rows], ~id of the first logit that is not finite if any.
//
// Tile = 1024 logits of a row. Blocks go through all tiles several times, and meet in
// between: largest logit; for rows with a nucleus three times the weights by ten bits of
// theirs; sums of the weights that are kept; the token. Steps that nobody needs are left
// out. Sums are of integers, so their order does not matter.
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/BlockNumbers.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "runtime/plan/KernelABI.h"

#include <limits>

namespace grok::compiler::gpu_kernels {

namespace {

class Sampling {
public:
  explicit Sampling(GpuBuilder &kernel);
  void emit();

private:
  static constexpr int64_t each = 4; // logits of a thread
  static constexpr int32_t digitBits = 10, digits = 3;
  static constexpr int32_t allButSign = 0x7fffffff, infinityBits = 0x7f800000;
  static constexpr int32_t notFinite = 0x7fffffff; // ranks above all logits
  static constexpr int64_t digitValues = 1 << digitBits;
  static constexpr int64_t mostBlocks = 256; // two of a multiprocessor: more only meet
  // Of a row's state: the digits found; what is better than they; the bound of that.
  static constexpr int64_t stateBytes = 24, betterAt = 8, limitAt = 16;

  /// A part of a row, while a block works on it.
  struct Tile {
    Value row, chunk, first; // the thread's first id
    Value draw;              // its address
    Value kind;
  };
  struct State {
    Value found, better, limit;
  };

  // ---- who works on what
  void forTiles(llvm::function_ref<void(const Tile &)> body);
  // Of rows that have a nucleus and a largest logit.
  void forNuclei(llvm::function_ref<void(const Tile &, Value top)> body);
  Value isFirstThread() { return kernel.equal(kernel.thread, kernel.index(0)); }
  Value isKind(Value kind, int32_t wanted) { return kernel.equal(kind, kernel.word(wanted)); }
  Value isFirstOfRow(const Tile &tile) {
    return kernel.both(isFirstThread(), kernel.equal(tile.chunk, kernel.index(0)));
  }
  Value isAbove(Value kind, int32_t other) { return kernel.less(kernel.word(other), kind); }
  Value isBetween(Value first, Value number, Value end) { // first <= number < end
    return kernel.both(kernel.less(number, end), kernel.less(kernel.add(first, -1), number));
  }
  Value rowPart(Value base, const Tile &tile) { // of `chunks` 64-bit numbers a row
    return kernel.rowAddress(base, kernel.mul(tile.row, chunks), 8);
  }
  // After so many digits.
  Value stateOf(const Tile &tile, int32_t count) {
    Value row = kernel.rowAddress(states, tile.row, digits * stateBytes);
    return kernel.offset(row, (count - 1) * stateBytes);
  }
  Value histogram(const Tile &tile, int32_t digit) {
    Value row = kernel.rowAddress(histograms, tile.row, digits * digitValues * 8);
    return kernel.offset(row, digit * digitValues * 8);
  }

  Value overChunks(Value numbers, llvm::function_ref<Value(Value chunk, Value number)> value,
                   bool isSum);

  // ---- the steps
  Values logitsOf(const Tile &tile, Value missing);
  Value rankOf(Value logit, Value id);
  Value mostKind();
  void findTops();
  void clearHistograms(const Tile &tile);
  Values weightsOf(const Tile &tile, Value top);
  Value fixedPoint(Value weight);
  Value topOf(const Tile &tile);
  Value isFinite(Value top) { return kernel.less(key(top), kernel.word(notFinite)); }
  Value key(Value top) { return kernel.narrow(kernel.shiftRightSigned(top, 32), kernel.i32); }
  Value idOf(Value top) { return kernel.bitXor(kernel.narrow(top, kernel.i32), kernel.word(-1)); }
  void storeToken(const Tile &tile, Value token);
  void addDigits(int32_t digit);
  State stateAfter(const Tile &tile, int32_t digits);
  void sumKept();
  void drawTokens();
  void drawToken(const Tile &tile, Value top);
  Values keptNumbers(const Tile &tile, Value top, Value least);

  GpuBuilder &kernel;
  BlockNumbers block;
  int64_t chunks; // of a row
  Value tops, kept, leasts, states, histograms;
  Value digitSums, crossing; // shared: int64 [digitValues]; the digit, what is better
};

} // namespace

Sampling::Sampling(GpuBuilder &kernel)
    : kernel(kernel), block(kernel),
      chunks((kernel.spec.vocab + each * kernel.threads - 1) / (each * kernel.threads)) {
  const int64_t rows = kernel.spec.maxRows;
  tops = kernel.scratchMemory(rows * chunks * 8);
  kept = kernel.scratchMemory(rows * chunks * 8);
  leasts = kernel.scratchMemory(rows * 4);
  states = kernel.scratchMemory(rows * digits * stateBytes);
  histograms = kernel.scratchMemory(rows * digits * digitValues * 8);
  digitSums = kernel.sharedMemory(digitValues * 8);
  crossing = kernel.sharedMemory(16);
}

// ---- who works on what

void Sampling::forTiles(llvm::function_ref<void(const Tile &)> body) {
  Value tiles = kernel.mul(kernel.logitRows, chunks);
  kernel.forTiles(tiles, std::min(kernel.spec.maxRows * chunks, mostBlocks), [&](Value number) {
    Tile tile;
    tile.row = kernel.quotient(number, chunks);
    tile.chunk = kernel.remainder(number, chunks);
    tile.first =
        kernel.mul(kernel.add(kernel.mul(tile.chunk, kernel.threads), kernel.thread), each);
    tile.draw = kernel.rowAddress(kernel.draws, tile.row, sizeof(GrokDraw));
    tile.kind = kernel.load(kernel.i32, tile.draw);
    body(tile);
  });
}

void Sampling::forNuclei(llvm::function_ref<void(const Tile &, Value)> body) {
  forTiles([&](const Tile &tile) {
    kernel.when(isKind(tile.kind, grokDrawNucleus), [&] {
      Value top = topOf(tile);
      kernel.when(isFinite(top), [&] { body(tile, top); });
    });
  });
}

// Sum, or greatest, of the numbers of a row's chunks.
Value Sampling::overChunks(Value numbers,
                           llvm::function_ref<Value(Value chunk, Value number)> value, bool isSum) {
  const int64_t neutral = isSum ? 0 : std::numeric_limits<int64_t>::min();
  Value own =
      kernel.loop(kernel.thread, kernel.index(chunks), kernel.threads, {kernel.index(neutral)},
                  [&](Value chunk, ValueRange carried) -> Values {
                    Value number = kernel.load(kernel.i64, kernel.rowAddress(numbers, chunk, 8));
                    number = value(chunk, number);
                    if (isSum)
                      return {kernel.add(carried[0], number)};
                    return {kernel.select(kernel.less(carried[0], number), number, carried[0])};
                  })[0];
  return isSum ? block.sum(own) : block.greatest(own);
}

// ---- the largest logit

// `missing` beyond the vocabulary.
Values Sampling::logitsOf(const Tile &tile, Value missing) {
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
Value Sampling::rankOf(Value logit, Value id) {
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

Value Sampling::topOf(const Tile &tile) {
  return overChunks(rowPart(tops, tile), [](Value, Value rank) { return rank; }, false);
}

// How much the rows of the step ask for.
Value Sampling::mostKind() {
  Value own = kernel.loop(kernel.thread, kernel.logitRows, kernel.threads, {kernel.index(0)},
                          [&](Value row, ValueRange carried) -> Values {
                            Value draw = kernel.rowAddress(kernel.draws, row, sizeof(GrokDraw));
                            Value kind = kernel.toIndex(kernel.load(kernel.i32, draw));
                            return {kernel.select(kernel.less(carried[0], kind), kind, carried[0])};
                          })[0];
  return kernel.narrow(block.greatest(own), kernel.i32);
}

void Sampling::findTops() {
  forTiles([&](const Tile &tile) {
    // Beyond the vocabulary, what no token is less than.
    Values logits = logitsOf(tile, kernel.number(-std::numeric_limits<float>::max()));
    Value best = rankOf(logits[0], tile.first);
    for (int64_t i = 1; i < each; ++i) {
      Value rank = rankOf(logits[i], kernel.add(tile.first, i));
      best = kernel.select(kernel.less(best, rank), rank, best);
    }
    best = block.greatest(best);
    kernel.when(isFirstThread(),
                [&] { kernel.store(best, kernel.rowAddress(rowPart(tops, tile), tile.chunk, 8)); });
    kernel.when(isKind(tile.kind, grokDrawNucleus), [&] { clearHistograms(tile); });
  });
}

void Sampling::clearHistograms(const Tile &tile) {
  Value own = kernel.add(kernel.mul(tile.chunk, kernel.threads), kernel.thread);
  kernel.loop(own, kernel.index(digits * digitValues), chunks * kernel.threads, [&](Value i) {
    kernel.store(kernel.index(0), kernel.rowAddress(histogram(tile, 0), i, 8));
  });
}

// ---- weights

// e^((logit - top) / temperature), 0 beyond the vocabulary.
Values Sampling::weightsOf(const Tile &tile, Value top) {
  Value ordered = key(top);
  Value isNegative = kernel.less(ordered, kernel.word(0));
  Value topLogit = kernel.fromBits(
      kernel.select(isNegative, kernel.bitXor(ordered, kernel.word(allButSign)), ordered));
  Value inverse = kernel.load(kernel.f32, kernel.offset(tile.draw, offsetof(GrokDraw, inverse)));
  Value least = kernel.number(-std::numeric_limits<float>::max()), none = kernel.number(0.0f);
  Values weights = logitsOf(tile, topLogit);
  for (int64_t i = 0; i < each; ++i) {
    // Never infinite, so that no product is 0 times infinity.
    Value below = kernel.maximum(kernel.sub(weights[i], topLogit), least);
    Value isToken = kernel.less(kernel.add(tile.first, i), kernel.index(kernel.spec.vocab));
    weights[i] = kernel.select(isToken, exponential(kernel, kernel.mul(below, inverse)), none);
  }
  return weights;
}

Value Sampling::fixedPoint(Value weight) {
  constexpr auto unit = static_cast<float>(int64_t(1) << grokDrawBits);
  return kernel.toCount(kernel.mul(weight, kernel.number(unit)));
}

// ---- the nucleus

// Adds the weights of all that have the digits so far to the histogram of the next.
void Sampling::addDigits(int32_t digit) {
  const int32_t shift = (digits - 1 - digit) * digitBits;
  forNuclei([&](const Tile &tile, Value top) {
    Value found = digit ? stateAfter(tile, digit).found : kernel.word(0);
    kernel.forThreads(digitValues, [&](Value i) {
      kernel.store(kernel.index(0), kernel.rowAddress(digitSums, i, 8));
    });
    kernel.barrier();
    for (Value weight : weightsOf(tile, top)) {
      Value bits = kernel.bitsOf(weight), number = fixedPoint(weight);
      Value isOne = kernel.equal(kernel.shiftRight(bits, shift + digitBits), found);
      Value counts = kernel.both(isOne, kernel.less(kernel.index(0), number));
      kernel.when(counts, [&] {
        Value value = kernel.bitAnd(kernel.shiftRight(bits, shift), kernel.word(digitValues - 1));
        kernel.addAtomically(kernel.rowAddress(digitSums, kernel.toIndex(value), 8), number);
      });
    }
    kernel.barrier();
    kernel.forThreads(digitValues, [&](Value i) {
      Value number = kernel.load(kernel.i64, kernel.rowAddress(digitSums, i, 8));
      kernel.when(kernel.less(kernel.index(0), number), [&] {
        kernel.addAtomically(kernel.rowAddress(histogram(tile, digit), i, 8), number);
      });
    });
  });
}

// Of the values of a digit, from the greatest on, that one with which what is better
// would weigh more than the bound.
Sampling::State Sampling::stateAfter(const Tile &tile, int32_t count) {
  State before{kernel.word(0), kernel.index(0), Value()};
  if (count > 1) {
    Value from = stateOf(tile, count - 1);
    before = {kernel.load(kernel.i32, from), kernel.load(kernel.i64, kernel.offset(from, betterAt)),
              kernel.load(kernel.i64, kernel.offset(from, limitAt))};
  }
  Value first = kernel.sub(kernel.index(digitValues - 1), kernel.mul(kernel.thread, each));
  Values sums;
  Value own = kernel.index(0);
  for (int64_t i = 0; i < each; ++i) {
    Value at = kernel.rowAddress(histogram(tile, count - 1), kernel.add(first, -i), 8);
    sums.push_back(kernel.load(kernel.i64, at));
    own = kernel.add(own, sums.back());
  }
  auto [lower, all] = block.sumBefore(own);
  if (count == 1) {
    Value share = kernel.load(kernel.i64, kernel.offset(tile.draw, offsetof(GrokDraw, nucleus)));
    before.limit = kernel.highProduct(all, share);
  }
  Value better = kernel.add(before.better, lower);
  for (int64_t i = 0; i < each; ++i) {
    Value with = kernel.add(better, sums[i]);
    kernel.when(isBetween(better, before.limit, with), [&] {
      kernel.store(kernel.add(first, -i), crossing);
      kernel.store(better, kernel.offset(crossing, 8));
    });
    better = with;
  }
  kernel.barrier();
  Value value = kernel.narrow(kernel.load(kernel.i64, crossing), kernel.i32);
  State after{kernel.bitOr(kernel.shiftLeft(before.found, digitBits), value),
              kernel.load(kernel.i64, kernel.offset(crossing, 8)), before.limit};
  kernel.when(isFirstOfRow(tile), [&] {
    Value to = stateOf(tile, count);
    kernel.store(after.found, to);
    kernel.store(after.better, kernel.offset(to, betterAt));
    kernel.store(after.limit, kernel.offset(to, limitAt));
  });
  return after;
}

// ---- the token

// Weights of at least the bits `least`.
Values Sampling::keptNumbers(const Tile &tile, Value top, Value least) {
  Values numbers;
  for (Value weight : weightsOf(tile, top))
    numbers.push_back(kernel.select(kernel.less(kernel.bitsOf(weight), least), kernel.index(0),
                                    fixedPoint(weight)));
  return numbers;
}

void Sampling::sumKept() {
  forTiles([&](const Tile &tile) {
    kernel.when(isAbove(tile.kind, grokDrawTop), [&] {
      Value top = topOf(tile);
      kernel.when(isFinite(top), [&] {
        Value least = kernel.choose(
            isKind(tile.kind, grokDrawNucleus), [&] { return stateAfter(tile, digits).found; },
            [&] { return kernel.word(0); });
        Value own = kernel.index(0);
        for (Value number : keptNumbers(tile, top, least))
          own = kernel.add(own, number);
        own = block.sum(own);
        kernel.when(isFirstThread(), [&] {
          kernel.store(own, kernel.rowAddress(rowPart(kept, tile), tile.chunk, 8));
        });
        kernel.when(isFirstOfRow(tile),
                    [&] { kernel.store(least, kernel.rowAddress(leasts, tile.row, 4)); });
      });
    });
  });
}

void Sampling::drawTokens() {
  forTiles([&](const Tile &tile) {
    Value top = topOf(tile);
    Value draws = kernel.both(isAbove(tile.kind, grokDrawTop), isFinite(top));
    kernel.when(
        draws, [&] { drawToken(tile, top); },
        [&] {
          Value id = idOf(top), wrong = kernel.bitXor(id, kernel.word(-1));
          kernel.when(isFirstOfRow(tile),
                      [&] { storeToken(tile, kernel.select(isFinite(top), id, wrong)); });
        });
  });
}

void Sampling::drawToken(const Tile &tile, Value top) {
  Value sums = rowPart(kept, tile);
  Value all = overChunks(sums, [](Value, Value number) { return number; }, true);
  Value before = overChunks(
      sums,
      [&](Value chunk, Value number) {
        return kernel.select(kernel.less(chunk, tile.chunk), number, kernel.index(0));
      },
      true);
  Value random = kernel.load(kernel.i64, kernel.offset(tile.draw, offsetof(GrokDraw, random)));
  Value target = kernel.highProduct(all, random);
  Value own = kernel.load(kernel.i64, kernel.rowAddress(sums, tile.chunk, 8));
  kernel.when(isBetween(before, target, kernel.add(before, own)), [&] {
    Value least = kernel.load(kernel.i32, kernel.rowAddress(leasts, tile.row, 4));
    Values numbers = keptNumbers(tile, top, least);
    Value ownSum = kernel.index(0);
    for (Value number : numbers)
      ownSum = kernel.add(ownSum, number);
    Value sum = kernel.add(before, block.sumBefore(ownSum).first);
    for (int64_t i = 0; i < each; ++i) {
      Value with = kernel.add(sum, numbers[i]);
      kernel.when(isBetween(sum, target, with),
                  [&] { storeToken(tile, kernel.toWord(kernel.add(tile.first, i))); });
      sum = with;
    }
  });
}

void Sampling::storeToken(const Tile &tile, Value token) {
  kernel.store(token, kernel.rowAddress(kernel.operand(1), tile.row, 4));
}

void Sampling::emit() {
  Value most = mostKind();
  findTops();
  block.meet();
  kernel.when(isKind(most, grokDrawNucleus), [&] {
    for (int32_t digit = 0; digit < digits; ++digit) {
      addDigits(digit);
      block.meet();
    }
  });
  kernel.when(isAbove(most, grokDrawTop), [&] {
    sumKept();
    block.meet();
  });
  drawTokens();
}

void emitSample(GpuBuilder &kernel) {
  kernel.holdBlocks(2); // all of them, and no spilled registers
  kernel.roundProducts();
  Sampling(kernel).emit();
}

} // namespace grok::compiler::gpu_kernels
