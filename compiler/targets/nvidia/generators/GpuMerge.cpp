// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// merge: what the members of a group have sent, laid out as rows or added up. What lies
// where: runtime/plan/MergeABI.h. Operands: parts, target, GrokMerge.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "runtime/plan/MergeABI.h"

namespace grok::compiler::gpu_kernels {

static constexpr int64_t wordBytes = 4;
static constexpr int64_t mostTiles = int64_t(1) << 20; // no bound but that of the grid
// Parts that are read at a time, and the levels of the tree above them.
static constexpr int64_t run = 8;
static constexpr int32_t levels = 4;
static_assert(grokMergeMembers <= run << (levels - 1));

namespace {

class Merge {
public:
  explicit Merge(GpuBuilder &kernel);
  void emit();

private:
  Value wordField(size_t at) {
    return kernel.load(kernel.i32, kernel.offset(kernel.operand(2), static_cast<int64_t>(at)));
  }
  void emitGather();
  void emitSum();
  Value sumAt(Value share, Value i);
  Value sumOfRun(Value run, Value share, Value i);
  Values carry(Value run, Value sum, ValueRange pending);
  Value fold(Value runs, ValueRange pending);
  Value isSet(Value number, int32_t bit) {
    return kernel.equal(kernel.bitAnd(kernel.shiftRight(number, bit), kernel.index(1)),
                        kernel.index(1));
  }

  GpuBuilder &kernel;
  Value rowWords, members, index, isSum, rows;
};

} // namespace

Merge::Merge(GpuBuilder &kernel) : kernel(kernel) {
  rowWords = kernel.load(kernel.i64, kernel.operand(2));
  members = kernel.toIndex(wordField(offsetof(GrokMerge, members)));
  index = kernel.toIndex(wordField(offsetof(GrokMerge, index)));
  isSum = kernel.equal(wordField(offsetof(GrokMerge, isSum)), kernel.word(1));
  Value ofLogits = kernel.equal(wordField(offsetof(GrokMerge, ofLogits)), kernel.word(1));
  rows = kernel.select(ofLogits, kernel.logitRows, kernel.rows);
}

// Tile = one member's part of a row.
void Merge::emitGather() {
  kernel.forTiles(kernel.mul(rows, members), mostTiles, [&](Value tile) {
    auto [row, member] = kernel.divide(tile, members);
    Value from = kernel.mul(kernel.add(kernel.mul(member, rows), row), rowWords);
    Value to = kernel.mul(tile, rowWords);
    kernel.forThreads(rowWords, [&](Value i) {
      Value word = kernel.load(
          kernel.i32, kernel.rowAddress(kernel.operand(0), kernel.add(from, i), wordBytes));
      kernel.store(word, kernel.rowAddress(kernel.operand(1), kernel.add(to, i), wordBytes));
    });
  });
}

// Of parts 8 run .. 8 run + 7: level by level neighbours meet, one that has none goes on
// alone.
Value Merge::sumOfRun(Value runNumber, Value share, Value i) {
  Value first = kernel.mul(runNumber, run);
  Values parts, isThere;
  for (int64_t part = 0; part < run; ++part) {
    Value member = kernel.add(first, part);
    isThere.push_back(kernel.less(member, members));
    Value at = kernel.add(kernel.mul(kernel.select(isThere.back(), member, first), share), i);
    parts.push_back(kernel.load(kernel.f32, kernel.rowAddress(kernel.operand(0), at, wordBytes)));
  }
  for (int64_t width = 1; width < run; width *= 2)
    for (int64_t left = 0; left < run; left += 2 * width) {
      const auto at = static_cast<size_t>(left), right = static_cast<size_t>(left + width);
      parts[at] = kernel.select(isThere[right], kernel.add(parts[at], parts[right]), parts[at]);
    }
  return parts[0];
}

// Adds one to a binary number of runs whose digits have sums: equal neighbours meet.
Values Merge::carry(Value runNumber, Value sum, ValueRange pending) {
  Values after;
  Value isCarried = kernel.bit(true);
  for (int32_t level = 0; level < levels; ++level) {
    Value digit = isSet(runNumber, level), own = pending[static_cast<size_t>(level)];
    Value meets = kernel.both(isCarried, digit);
    after.push_back(kernel.select(isCarried, sum, own)); // where it meets, of no more use
    sum = kernel.select(meets, kernel.add(own, sum), sum);
    isCarried = meets;
  }
  return after;
}

// What had no neighbours of its size: the smallest, last ones meet first.
Value Merge::fold(Value runs, ValueRange pending) {
  Value sum = pending[0], isEmpty = kernel.bit(true);
  for (int32_t level = 0; level < levels; ++level) {
    Value own = pending[static_cast<size_t>(level)], digit = isSet(runs, level);
    Value with = kernel.select(isEmpty, own, kernel.add(own, sum));
    sum = kernel.select(digit, with, sum);
    isEmpty = kernel.both(isEmpty, kernel.bitXor(digit, kernel.bit(true)));
  }
  return sum;
}

Value Merge::sumAt(Value share, Value i) {
  Value runs = kernel.quotient(kernel.add(members, run - 1), run);
  Values none(static_cast<size_t>(levels), kernel.number(0));
  Values pending = kernel.loop(kernel.index(0), runs, 1, none,
                               [&](Value runNumber, ValueRange before) -> Values {
                                 return carry(runNumber, sumOfRun(runNumber, share, i), before);
                               });
  return fold(runs, pending);
}

void Merge::emitSum() {
  Value count = kernel.mul(rows, rowWords);
  Value share = kernel.divide(kernel.add(kernel.add(count, members), -1), members).first;
  Value begin = kernel.mul(index, share);
  Value rest = kernel.sub(count, begin); // negative of an empty share
  Value some = kernel.minimum(rest, share);
  Value own = kernel.select(kernel.less(some, kernel.index(0)), kernel.index(0), some);
  Value tiles = kernel.quotient(kernel.add(own, kernel.threads - 1), kernel.threads);
  kernel.forTiles(tiles, mostTiles, [&](Value tile) {
    Value i = kernel.add(kernel.mul(tile, kernel.threads), kernel.thread);
    kernel.when(kernel.less(i, own), [&] {
      kernel.store(sumAt(share, i),
                   kernel.rowAddress(kernel.operand(1), kernel.add(begin, i), wordBytes));
    });
  });
}

void Merge::emit() {
  kernel.when(isSum, [&] { emitSum(); }, [&] { emitGather(); });
}

void emitMerge(GpuBuilder &kernel) { Merge(kernel).emit(); }

} // namespace grok::compiler::gpu_kernels
