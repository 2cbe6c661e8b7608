// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/AttentionTiles.h"

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

#include <algorithm>

namespace grok::compiler {

// Scores of keys that do not exist, and of masked keys: as in the CPU kernel.
static constexpr float absentScore = -3.0e38f, hiddenScore = -1.0e30f;

static constexpr int64_t scanLanes = panelColumns; // of a warp, for one query
static constexpr int64_t mostSplitRows = 16;       // that scratch memory is for
static constexpr int64_t mostFactorSlots = 32;     // slices merged at a time

AttentionTiles::AttentionTiles(GpuBuilder &kernel, int64_t tileRows, int64_t paddedQueries,
                               int64_t scoreStride)
    : kernel(kernel), spec(kernel.spec), pages(kernel, kernel.operand(1)),
      heads(spec.qHeads / spec.kvHeads), dimensions(spec.headDim), tileRows(tileRows),
      queries(paddedQueries), scoreStride(scoreStride),
      slices((spec.maxContext + spec.keySlice - 1) / spec.keySlice),
      splitRows(slices > 1 ? std::min(spec.maxRows, mostSplitRows) : 0),
      factorSlots(std::min(slices, mostFactorSlots)) {
  kernel.holdBlocks(1);
  scores = kernel.sharedMemory(queries * scoreStride * 4);
  keep = kernel.sharedMemory(spec.keySlice * 4);
  if (pages.hasScales()) {
    keyScales = kernel.sharedMemory(spec.keySlice * 4);
    valueScales = kernel.sharedMemory(spec.keySlice * 4);
  }
  visible = kernel.sharedMemory(queries * 4);
  maxima = kernel.sharedMemory(queries * 4);
  totals = kernel.sharedMemory(queries * 4);
  output = kernel.sharedMemory(queries * dimensions * 4);
  oldFactors = kernel.sharedMemory(factorSlots * queries * 4);
  newFactors = kernel.sharedMemory(factorSlots * queries * 4);
  isLast = kernel.sharedMemory(4);
  if (splitRows == 0)
    return;
  counters = kernel.scratchMemory(splitRows * spec.kvHeads * 4);
  partials = kernel.scratchMemory(splitRows * spec.qHeads * slices * (dimensions + 2) * 4);
}

// ---- tiles

void AttentionTiles::emit() {
  Value one = kernel.index(1), slicesNow = one;
  isSplit = kernel.bit(false);
  if (splitRows) {
    isSplit = kernel.less(kernel.rows, kernel.index(splitRows + 1));
    Value counted = kernel.select(isSplit, kernel.rows, kernel.index(0));
    slicesNow =
        kernel.loop(kernel.index(0), counted, 1, {one}, [&](Value row, ValueRange most) -> Values {
          Value last = kernel.entry(kernel.positions, row);
          Value own = kernel.add(kernel.quotient(last, spec.keySlice), 1);
          return {kernel.select(kernel.less(most[0], own), own, most[0])};
        })[0];
  }
  // Rows in the order 0, n, 2n, .., 1, n + 1, ..: most first rows of a tile come first.
  Value blocksOfRows = kernel.quotient(kernel.add(kernel.rows, tileRows - 1), tileRows);
  Value units = kernel.mul(blocksOfRows, tileRows * spec.kvHeads);
  const int64_t mostUnits = (spec.maxRows + tileRows - 1) / tileRows * spec.kvHeads;
  const int64_t most = std::max(mostUnits, splitRows * spec.kvHeads * slices);
  kernel.forTiles(kernel.mul(units, slicesNow), most, [&](Value tile) {
    auto [slice, unit] = kernel.divide(tile, units);
    emitUnit(unit, slice, blocksOfRows);
  });
}

void AttentionTiles::emitUnit(Value unit, Value slice, Value blocksOfRows) {
  head = kernel.remainder(unit, spec.kvHeads);
  Value number = kernel.quotient(unit, spec.kvHeads), isFirst = kernel.bit(true);
  firstRow = number;
  if (tileRows > 1) {
    auto [inBlock, block] = kernel.divide(number, blocksOfRows);
    // Late rows of a prompt have the most keys: they start first.
    Value late = kernel.sub(kernel.sub(blocksOfRows, kernel.index(1)), block);
    firstRow = kernel.add(kernel.mul(late, tileRows), inBlock);
    Value row = kernel.minimum(firstRow, kernel.sub(kernel.rows, kernel.index(1)));
    Value before = kernel.select(kernel.equal(row, kernel.index(0)), row, kernel.add(row, -1));
    Value isOther =
        kernel.less(kernel.index(0), kernel.bitXor(kernel.entry(kernel.sequences, before),
                                                   kernel.entry(kernel.sequences, row)));
    isFirst = kernel.bitOr(isOther, kernel.equal(inBlock, kernel.index(0)));
    isFirst = kernel.both(isFirst, kernel.less(firstRow, kernel.rows));
  }
  kernel.when(isFirst, [&] {
    findRows();
    Value needed = kernel.add(kernel.quotient(kernel.add(keyCount, -1), spec.keySlice), 1);
    Value first = kernel.select(isSplit, slice, kernel.index(0));
    Value end = kernel.select(isSplit, kernel.add(slice, 1), needed);
    Value isPart = kernel.both(isSplit, kernel.less(kernel.index(1), needed));
    kernel.when(kernel.less(first, needed), [&] { emitTile(first, end, needed, isPart); });
  });
}

// The rows behind firstRow that belong to its sequence, up to the next multiple of
// tileRows.
void AttentionTiles::findRows() {
  rowCount = kernel.index(1);
  Value isSame = kernel.bit(true), sequence = kernel.entry(kernel.sequences, firstRow);
  for (int64_t i = 1; i < tileRows; ++i) {
    Value row = kernel.add(firstRow, i);
    Value exists = kernel.both(kernel.less(row, kernel.rows),
                               kernel.less(kernel.index(0), kernel.remainder(row, tileRows)));
    Value other = kernel.entry(kernel.sequences, kernel.select(exists, row, firstRow));
    isSame = kernel.both(kernel.both(isSame, exists), kernel.equal(other, sequence));
    rowCount = kernel.add(rowCount, kernel.widenUnsigned(isSame, kernel.i64));
  }
  queryCount = kernel.mul(rowCount, heads);
  Value last = kernel.add(kernel.add(firstRow, rowCount), -1);
  keyCount = kernel.add(kernel.entry(kernel.positions, last), 1);
}

void AttentionTiles::emitTile(Value first, Value end, Value needed, Value isPart) {
  kernel.barrier(); // the last tile has been read
  kernel.forThreads(queries, [&](Value query) {
    Value exists = kernel.less(query, queryCount);
    Value row = kernel.select(exists, kernel.add(firstRow, queryRow(query)), firstRow);
    Value count = kernel.add(kernel.entry(kernel.positions, row), 1);
    count = kernel.select(exists, count, kernel.index(0));
    kernel.store(kernel.toWord(count), floatAt(visible, query));
  });
  reset();
  loadQueries();
  startSlices(first, end);
  kernel.loop(first, end, 1, [&](Value slice) { emitSlice(slice); });
  kernel.barrier();
  if (splitRows == 0)
    return storeOutput();
  kernel.when(
      isPart,
      [&] {
        storePart(first);
        kernel.when(isLastPart(needed), [&] {
          mergeParts(needed);
          storeOutput();
        });
      },
      [&] { storeOutput(); });
}

void AttentionTiles::reset() {
  kernel.forThreads(queries, [&](Value query) {
    kernel.store(kernel.number(absentScore), floatAt(maxima, query));
    kernel.store(kernel.number(0.0f), floatAt(totals, query));
  });
  kernel.forThreads(queries * dimensions, [&](Value element) {
    kernel.store(kernel.number(0.0f), floatAt(output, element));
  });
}

// ---- slices

void AttentionTiles::emitSlice(Value slice) {
  kernel.barrier(); // the last slice has been read, and the queries are there
  readKeys(slice);
  kernel.barrier();
  emitScores(slice);
  kernel.barrier();
  emitSoftmax(slice);
  kernel.barrier();
  emitValues(slice);
}

Value AttentionTiles::keysOf(Value slice) {
  return kernel.minimum(kernel.sub(keyCount, startOf(slice)), kernel.index(spec.keySlice));
}

// What the page says of each key, beside the key.
void AttentionTiles::readKeys(Value slice) {
  Value count = keysOf(slice), start = startOf(slice);
  kernel.forThreads(spec.keySlice, [&](Value key) {
    // Behind the last key stand copies of it, which no score depends on.
    Value position = kernel.add(start, kernel.minimum(key, kernel.add(count, -1)));
    Value page = pages.pageOf(firstRow, position), slot = pages.slotOf(position);
    auto copy = [&](Value from, Value to) {
      kernel.store(kernel.load(kernel.f32, from), floatAt(to, key));
    };
    copy(pages.keep(page, slot), keep);
    if (pages.hasScales()) {
      copy(pages.keyScale(page, head, slot), keyScales);
      copy(pages.valueScale(page, head, slot), valueScales);
    }
  });
}

Value AttentionTiles::scaledDot(Value dot, Value key) {
  if (pages.hasScales())
    dot = kernel.mul(dot, kernel.load(kernel.f32, floatAt(keyScales, key)));
  return kernel.mul(dot, kernel.number(static_cast<float>(spec.multiplier)));
}

Value AttentionTiles::maskedScore(Value score, Value query, Value key, Value start) {
  Value isHidden = kernel.equal(kernel.load(kernel.f32, floatAt(keep, key)), kernel.number(0.0f));
  Value exists = kernel.less(kernel.add(start, key), kernel.entry(visible, query));
  score = kernel.select(isHidden, kernel.number(hiddenScore), score);
  return kernel.select(exists, score, kernel.number(absentScore));
}

// Half a warp per query; its lanes take every sixteenth key.
void AttentionTiles::emitSoftmax(Value slice) {
  Value scanned = kernel.quotient(kernel.add(keysOf(slice), scoreKeys() - 1), scoreKeys());
  scanned = kernel.mul(scanned, scoreKeys());
  Value ownLane = kernel.remainder(kernel.thread, scanLanes);
  Value half = kernel.quotient(kernel.lane, scanLanes);
  constexpr int64_t together = warpLanes / scanLanes; // queries of a warp
  kernel.loop(
      kernel.mul(kernel.warp, together), queryCount, together * kernel.warps, [&](Value base) {
        Value query = kernel.add(base, half);
        Value own = kernel.rowAddress(floatAt(scores, ownLane), query, scoreStride * 4);
        auto forKeys = [&](Value initial, llvm::function_ref<Value(Value, Value, Value)> next) {
          return kernel.loop(kernel.index(0), scanned, scanLanes, {initial},
                             [&](Value first, ValueRange carried) -> Values {
                               Value score = kernel.load(kernel.f32, floatAt(own, first));
                               return {next(score, first, carried[0])};
                             })[0];
        };
        Value top = forKeys(kernel.number(absentScore), [&](Value score, Value, Value highest) {
          return kernel.maximum(score, highest);
        });
        for (int32_t mask = scanLanes / 2; mask > 0; mask /= 2)
          top = kernel.maximum(top, kernel.shuffleXor(top, mask));
        Value sum = forKeys(kernel.number(0.0f), [&](Value score, Value first, Value total) {
          // A row that the slice does not reach has no other scores.
          Value isAbsent = kernel.equal(score, kernel.number(absentScore));
          Value weight =
              kernel.select(isAbsent, kernel.number(0.0f), powerOfE(kernel.sub(score, top)));
          Value key = kernel.add(first, ownLane), scaled = weight;
          if (pages.hasScales())
            scaled = kernel.mul(weight, kernel.load(kernel.f32, floatAt(valueScales, key)));
          storeWeight(query, key, scaled);
          return kernel.add(total, weight);
        });
        for (int32_t mask = scanLanes / 2; mask > 0; mask /= 2)
          sum = kernel.add(sum, kernel.shuffleXor(sum, mask));
        kernel.when(kernel.equal(ownLane, kernel.index(0)),
                    [&] { mergeFactors(query, top, sum, kernel.index(0)); });
      });
}

// ---- merging

Value AttentionTiles::slotOf(Value base, Value slot, Value query) {
  return floatAt(base, kernel.add(kernel.mul(slot, queries), query));
}

void AttentionTiles::mergeFactors(Value query, Value top, Value sum, Value slot) {
  Value before = kernel.load(kernel.f32, floatAt(maxima, query));
  Value total = kernel.load(kernel.f32, floatAt(totals, query));
  SoftmaxMerge merged = mergeSoftmax(kernel, before, total, top, sum);
  kernel.store(merged.maximum, floatAt(maxima, query));
  kernel.store(merged.total, floatAt(totals, query));
  kernel.store(merged.oldFactor, slotOf(oldFactors, slot, query));
  kernel.store(merged.newFactor, slotOf(newFactors, slot, query));
}

void AttentionTiles::mergeValue(Value query, Value dimension, Value sum) {
  Value to = floatAt(output, kernel.add(kernel.mul(query, dimensions), dimension));
  Value old = kernel.load(kernel.f32, floatAt(oldFactors, query));
  Value fresh = kernel.load(kernel.f32, floatAt(newFactors, query));
  Value before = kernel.load(kernel.f32, to);
  kernel.store(kernel.multiplyAdd(before, old, kernel.mul(sum, fresh)), to);
}

void AttentionTiles::forElements(llvm::function_ref<void(Value, Value)> body) {
  kernel.forThreads(kernel.mul(queryCount, dimensions), [&](Value element) {
    body(kernel.quotient(element, dimensions), kernel.remainder(element, dimensions));
  });
}

// What a slice has left of one query: dimensions sums, their maximum and total.
Value AttentionTiles::partAddress(Value query, Value slice) {
  Value row = kernel.add(firstRow, queryRow(query));
  Value own = kernel.add(kernel.mul(head, heads), kernel.remainder(query, heads));
  Value number = kernel.add(kernel.mul(row, spec.qHeads), own);
  number = kernel.add(kernel.mul(number, slices), slice);
  return kernel.rowAddress(partials, number, (dimensions + 2) * 4);
}

void AttentionTiles::storePart(Value slice) {
  forElements([&](Value query, Value dimension) {
    Value from = floatAt(output, kernel.add(kernel.mul(query, dimensions), dimension));
    kernel.store(kernel.load(kernel.f32, from), floatAt(partAddress(query, slice), dimension));
  });
  kernel.forThreads(queryCount, [&](Value query) {
    Value to = kernel.offset(partAddress(query, slice), dimensions * 4);
    kernel.store(kernel.load(kernel.f32, floatAt(maxima, query)), to);
    kernel.store(kernel.load(kernel.f32, floatAt(totals, query)), kernel.offset(to, 4));
  });
  kernel.barrier();
}

// Whether all slices of this tile's rows and head have left their part.
Value AttentionTiles::isLastPart(Value needed) {
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    Value number = kernel.add(kernel.mul(firstRow, spec.kvHeads), head);
    Value counter = kernel.rowAddress(counters, number, 4);
    Value before = kernel.toIndex(kernel.fetchAdd(counter, kernel.word(1)));
    Value isTheLast = kernel.equal(kernel.add(before, 1), needed);
    kernel.store(kernel.widenUnsigned(isTheLast, kernel.i32), isLast);
    kernel.when(isTheLast, [&] { kernel.store(kernel.word(0), counter); });
  });
  kernel.barrier();
  return kernel.equal(kernel.load(kernel.i32, isLast), kernel.word(1));
}

void AttentionTiles::mergeParts(Value needed) {
  reset();
  kernel.loop(kernel.index(0), needed, factorSlots, [&](Value first) {
    Value end = kernel.minimum(needed, kernel.add(first, factorSlots));
    kernel.barrier();
    kernel.forThreads(queryCount, [&](Value query) {
      kernel.loop(first, end, 1, [&](Value slice) {
        Value from = kernel.offset(partAddress(query, slice), dimensions * 4);
        mergeFactors(query, kernel.load(kernel.f32, from),
                     kernel.load(kernel.f32, kernel.offset(from, 4)), kernel.sub(slice, first));
      });
    });
    kernel.barrier();
    forElements([&](Value query, Value dimension) {
      Value to = floatAt(output, kernel.add(kernel.mul(query, dimensions), dimension));
      Values sum =
          kernel.loop(first, end, 1, {kernel.load(kernel.f32, to)},
                      [&](Value slice, ValueRange carried) -> Values {
                        Value slot = kernel.sub(slice, first);
                        Value part =
                            kernel.load(kernel.f32, floatAt(partAddress(query, slice), dimension));
                        Value old = kernel.load(kernel.f32, slotOf(oldFactors, slot, query));
                        Value fresh = kernel.load(kernel.f32, slotOf(newFactors, slot, query));
                        return {kernel.multiplyAdd(carried[0], old, kernel.mul(part, fresh))};
                      });
      kernel.store(sum[0], to);
    });
  });
  kernel.barrier();
}

// ---- input and output

Value AttentionTiles::queryAddress(Value row, Value headOfKey) {
  Value number = kernel.add(kernel.mul(head, heads), headOfKey);
  number = kernel.add(kernel.mul(row, spec.qHeads), number);
  return kernel.rowAddress(kernel.operand(0), number, rowBytes(dimensions));
}

void AttentionTiles::storeOutput() {
  const int64_t columns = spec.qHeads * dimensions, pads = paddedColumns(columns) - columns;
  auto at = [&](Value row, Value column) {
    Value to = kernel.rowAddress(kernel.operand(2), kernel.add(firstRow, row), rowBytes(columns));
    return floatAt(to, column);
  };
  forElements([&](Value query, Value dimension) {
    Value from = floatAt(output, kernel.add(kernel.mul(query, dimensions), dimension));
    Value own = kernel.add(kernel.mul(head, heads), kernel.remainder(query, heads));
    Value column = kernel.add(kernel.mul(own, dimensions), dimension);
    Value total = kernel.load(kernel.f32, floatAt(totals, query));
    kernel.store(kernel.div(kernel.load(kernel.f32, from), total), at(queryRow(query), column));
  });
  if (pads == 0)
    return;
  // The rows' padding belongs to the tiles of one head only.
  kernel.when(kernel.equal(head, kernel.index(spec.kvHeads - 1)), [&] {
    kernel.forThreads(kernel.mul(rowCount, pads), [&](Value pad) {
      Value column = kernel.add(kernel.remainder(pad, pads), columns);
      kernel.store(kernel.number(0.0f), at(kernel.quotient(pad, pads), column));
    });
  });
}

// ---- the kernel

namespace gpu_kernels {

void emitAttention(GpuBuilder &kernel) {
  if (canUseMmaAttention(kernel.spec))
    emitMmaAttention(kernel);
  else
    emitChainAttention(kernel);
}

} // namespace gpu_kernels

} // namespace grok::compiler
