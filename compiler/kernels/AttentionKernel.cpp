// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// attention over the paged cache. Tile = row * kvHeads + kvHead: all query heads
// that share a key head read it together. Keys are taken in slices of keySlice
// positions from 0, so a row's sums depend on its position alone.
//
// f32 ("flash"): each slice has its own maximum, sum and output, merged into the
// running ones in ascending order. bf16 ("two_pass"): all scores first, then the
// weights are rounded as the released model does.
#include "compiler/kernels/CachePages.h"
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"

#include <algorithm>

namespace grok::compiler {

// Scores of keys that do not exist: e^(this - m) is 0 for every maximum m.
static constexpr float absentScore = -3.0e38f;
// The reference's score of masked keys. If all keys are masked, all are equal.
static constexpr float maskedScore = -1.0e30f;

static constexpr int64_t vectorBytes = panelColumns * 4;

static int64_t largestDivisor(int64_t value, int64_t limit) {
  int64_t divisor = std::min(value, limit);
  while (value % divisor != 0)
    --divisor;
  return divisor;
}

namespace {

class AttentionEmitter {
public:
  explicit AttentionEmitter(KernelBuilder &kernel);
  void emitTile(Value tile);

private:
  bool isTwoPass() const { return spec.numerics == Numerics::bf16; }

  void forSlices(llvm::function_ref<void(Value start, Value count)> body);
  void emitFlash();
  void emitTwoPass();

  // Scores of keys start .. start + count into `to`, [head][scoreStride].
  void emitScores(Value start, Value count, Value to);
  void emitScoreBlock(Value page, Value slot, Value firstHead, Value left, Value to);
  Value finishScore(Value dot);

  Value maximumOf(Value scores, Value count);
  // scores := e^(score - maximum); returns their sum.
  Value exponentials(Value scores, Value count, Value maximum);
  // weights := weights times the scales of their values.
  void scaleWeights(Value weights, Value start, Value count);

  // Weighted sums of values: merge(head, vector, weights . values).
  using Merge = llvm::function_ref<void(Value head, Value vector, Value sum)>;
  void emitValues(Value start, Value count, Value weights, Merge merge);
  Values sumPage(Value page, Value firstHead, Value firstVector, Value weights, Value tokens,
                 ValueRange chains);

  Value headAddress(Value base, Value index) { return kernel.rowAddress(base, index, 4); }
  Value outputVector(Value index, Value vector) {
    Value at = kernel.add(kernel.mul(index, vectors), vector);
    return kernel.rowAddress(output, at, vectorBytes);
  }
  void forHeads(llvm::function_ref<void(Value)> body) {
    kernel.loop(kernel.index(0), kernel.index(heads), 1, body);
  }
  void storeOutput();

  KernelBuilder &kernel;
  const KernelSpec &spec;
  CachePages pages;
  int64_t heads;   // query heads of one key head
  int64_t vectors; // of one head
  int64_t headBlock, keyVectors, outputVectors;
  int64_t scoreStride;                          // in floats
  Value scores;                                 // [head][scoreStride]
  Value maxima, totals, oldFactors, newFactors; // [head]: running state, merge factors
  Value output;                                 // [head][vector][16]
  Value row, cacheHead, query, keyCount;        // of the current tile
};

} // namespace

AttentionEmitter::AttentionEmitter(KernelBuilder &kernel)
    : kernel(kernel), spec(kernel.spec), pages(kernel, kernel.operand(1)),
      heads(spec.qHeads / spec.kvHeads), vectors(panelsOf(spec.headDim)) {
  headBlock = largestDivisor(heads, kernel.tiles.attentionHeads);
  keyVectors = std::min(kernel.tiles.attentionKeys, spec.pageTokens / panelColumns);
  outputVectors = largestDivisor(vectors, kernel.tiles.attentionKeys);
  int64_t slices = isTwoPass() ? (spec.maxContext + spec.keySlice - 1) / spec.keySlice : 1;
  scoreStride = slices * spec.keySlice;
  scores = kernel.scratch(heads * scoreStride * 4);
  maxima = kernel.scratch(heads * 4);
  totals = kernel.scratch(heads * 4);
  oldFactors = kernel.scratch(heads * 4);
  newFactors = kernel.scratch(heads * 4);
  output = kernel.scratch(heads * vectors * vectorBytes);
}

void AttentionEmitter::emitTile(Value tile) {
  row = kernel.quotient(tile, spec.kvHeads);
  cacheHead = kernel.remainder(tile, spec.kvHeads);
  Value firstHead = kernel.add(kernel.mul(row, spec.qHeads), kernel.mul(cacheHead, heads));
  query = kernel.rowAddress(kernel.operand(0), firstHead, vectors * vectorBytes);
  keyCount = kernel.add(kernel.entry(kernel.positions, row), 1);
  kernel.loop(kernel.index(0), kernel.index(heads * vectors), 1, [&](Value vector) {
    kernel.store(kernel.splat(0.0f), kernel.rowAddress(output, vector, vectorBytes), 64);
  });
  if (isTwoPass())
    emitTwoPass();
  else
    emitFlash();
  storeOutput();
}

void AttentionEmitter::forSlices(llvm::function_ref<void(Value, Value)> body) {
  kernel.loop(kernel.index(0), keyCount, spec.keySlice, [&](Value start) {
    body(start, kernel.minimum(kernel.sub(keyCount, start), kernel.index(spec.keySlice)));
  });
}

void AttentionEmitter::emitFlash() {
  forHeads([&](Value index) {
    kernel.store(kernel.number(absentScore), headAddress(maxima, index));
    kernel.store(kernel.number(0.0f), headAddress(totals, index));
  });
  forSlices([&](Value start, Value count) {
    emitScores(start, count, scores);
    forHeads([&](Value index) {
      Value mine = kernel.rowAddress(scores, index, scoreStride * 4);
      Value top = maximumOf(mine, count), sum = exponentials(mine, count, top);
      if (pages.hasScales())
        scaleWeights(mine, start, count);
      Value before = kernel.load(kernel.f32, headAddress(maxima, index));
      Value total = kernel.load(kernel.f32, headAddress(totals, index));
      SoftmaxMerge merged = mergeSoftmax(kernel, before, total, top, sum);
      kernel.store(merged.maximum, headAddress(maxima, index));
      kernel.store(merged.total, headAddress(totals, index));
      kernel.store(merged.oldFactor, headAddress(oldFactors, index));
      kernel.store(merged.newFactor, headAddress(newFactors, index));
    });
    emitValues(start, count, scores, [&](Value index, Value vector, Value sum) {
      Value old = kernel.broadcast(kernel.load(kernel.f32, headAddress(oldFactors, index)));
      Value fresh = kernel.broadcast(kernel.load(kernel.f32, headAddress(newFactors, index)));
      Value to = outputVector(index, vector), before = kernel.load(kernel.floats, to, 64);
      kernel.store(kernel.multiplyAdd(before, old, kernel.mul(sum, fresh)), to, 64);
    });
  });
  forHeads([&](Value index) {
    Value total = kernel.broadcast(kernel.load(kernel.f32, headAddress(totals, index)));
    for (int64_t i = 0; i < vectors; ++i) {
      Value at = outputVector(index, kernel.index(i));
      kernel.store(kernel.div(kernel.load(kernel.floats, at, 64), total), at, 64);
    }
  });
}

void AttentionEmitter::emitTwoPass() {
  forSlices([&](Value start, Value count) {
    emitScores(start, count, kernel.rowAddress(scores, start, 4));
  });
  forHeads([&](Value index) {
    Value mine = kernel.rowAddress(scores, index, scoreStride * 4);
    Value sum = exponentials(mine, keyCount, maximumOf(mine, keyCount));
    Value total = kernel.broadcast(sum);
    kernel.loop(kernel.index(0), keyCount, panelColumns, [&](Value key) {
      Value at = kernel.rowAddress(mine, key, 4);
      Value weight = kernel.div(kernel.load(kernel.floats, at, 64), total);
      kernel.store(roundToBf16(kernel, weight), at, 64);
    });
  });
  forSlices([&](Value start, Value count) {
    Value weights = kernel.rowAddress(scores, start, 4);
    emitValues(start, count, weights, [&](Value index, Value vector, Value sum) {
      Value to = outputVector(index, vector);
      kernel.store(kernel.add(kernel.load(kernel.floats, to, 64), sum), to, 64);
    });
  });
  kernel.loop(kernel.index(0), kernel.index(heads * vectors), 1, [&](Value vector) {
    Value at = kernel.rowAddress(output, vector, vectorBytes);
    kernel.store(roundToBf16(kernel, kernel.load(kernel.floats, at, 64)), at, 64);
  });
}

// ---- scores

void AttentionEmitter::emitScores(Value start, Value count, Value to) {
  // Whole vectors of keys: a page holds a multiple of them.
  kernel.loop(kernel.index(0), count, keyVectors * panelColumns, [&](Value first) {
    Value position = kernel.add(start, first);
    Value page = pages.pageOf(row, position), slot = pages.slotOf(position);
    Value left = kernel.sub(count, first), target = kernel.rowAddress(to, first, 4);
    kernel.loop(kernel.index(0), kernel.index(heads), headBlock,
                [&](Value firstHead) { emitScoreBlock(page, slot, firstHead, left, target); });
  });
}

void AttentionEmitter::emitScoreBlock(Value page, Value slot, Value firstHead, Value left,
                                      Value to) {
  const int64_t dimensionBytes = spec.pageTokens * pages.elementBytes();
  const int64_t keyBytes = panelColumns * pages.elementBytes();
  Value keys = pages.key(page, cacheHead, slot);
  Value queries = kernel.rowAddress(query, firstHead, vectors * vectorBytes);
  Values dots = kernel.loop(
      kernel.index(0), kernel.index(spec.headDim), 1,
      Values(headBlock * keyVectors, kernel.splat(0.0f)), [&](Value dimension, ValueRange carried) {
        Value line = kernel.rowAddress(keys, dimension, dimensionBytes);
        Value column = kernel.rowAddress(queries, dimension, 4);
        Values next(carried), keyLanes;
        for (int64_t j = 0; j < keyVectors; ++j)
          keyLanes.push_back(pages.load(kernel.offset(line, j * keyBytes)));
        for (int64_t i = 0; i < headBlock; ++i) {
          Value scalar = kernel.load(kernel.f32, kernel.offset(column, i * vectors * vectorBytes));
          Value repeated = kernel.broadcast(scalar);
          for (int64_t j = 0; j < keyVectors; ++j) {
            Value &dot = next[i * keyVectors + j];
            dot = kernel.multiplyAdd(keyLanes[j], repeated, dot);
          }
        }
        return next;
      });
  Value target = kernel.rowAddress(to, firstHead, scoreStride * 4);
  Value keep = pages.keep(page, slot);
  Values scales;
  for (int64_t j = 0; pages.hasScales() && j < keyVectors; ++j) {
    Value at = kernel.offset(pages.keyScale(page, cacheHead, slot), j * vectorBytes);
    scales.push_back(kernel.load(kernel.floats, at));
  }
  for (int64_t j = 0; j < keyVectors; ++j) {
    Value visible = kernel.load(kernel.floats, kernel.offset(keep, j * vectorBytes));
    Value isMasked = kernel.equal(visible, kernel.splat(0.0f));
    Value remaining = kernel.narrow(kernel.add(left, -j * panelColumns), kernel.i32);
    Value exists = kernel.less(kernel.laneNumbers(), kernel.broadcast(remaining));
    for (int64_t i = 0; i < headBlock; ++i) {
      Value dot = dots[i * keyVectors + j];
      Value score = finishScore(pages.hasScales() ? kernel.mul(dot, scales[j]) : dot);
      score = kernel.select(isMasked, kernel.splat(maskedScore), score);
      score = kernel.select(exists, score, kernel.splat(absentScore));
      kernel.store(score, kernel.offset(target, i * scoreStride * 4 + j * vectorBytes), 64);
    }
  }
}

Value AttentionEmitter::finishScore(Value dot) {
  Value score = roundActivation(kernel, spec.numerics, dot);
  score = kernel.mul(score, kernel.splat(static_cast<float>(spec.multiplier)));
  if (spec.softcap == 0)
    return score;
  Value cap = kernel.splat(static_cast<float>(spec.softcap));
  return kernel.mul(cap, hyperbolicTangent(kernel, kernel.div(score, cap)));
}

// ---- softmax

Value AttentionEmitter::maximumOf(Value mine, Value count) {
  Values top =
      kernel.loop(kernel.index(0), count, panelColumns, {kernel.splat(absentScore)},
                  [&](Value key, ValueRange carried) -> Values {
                    Value at = kernel.rowAddress(mine, key, 4);
                    return {kernel.maximum(kernel.load(kernel.floats, at, 64), carried[0])};
                  });
  return maximumOfLanes(kernel, top[0]);
}

Value AttentionEmitter::exponentials(Value mine, Value count, Value maximum) {
  Value highest = kernel.broadcast(maximum);
  Values sum = kernel.loop(kernel.index(0), count, panelColumns, {kernel.splat(0.0f)},
                           [&](Value key, ValueRange carried) -> Values {
                             Value at = kernel.rowAddress(mine, key, 4);
                             Value score = kernel.load(kernel.floats, at, 64);
                             Value grown = exponential(kernel, kernel.sub(score, highest));
                             kernel.store(grown, at, 64);
                             return {kernel.add(carried[0], grown)};
                           });
  return sumOfLanes(kernel, sum[0]);
}

void AttentionEmitter::scaleWeights(Value mine, Value start, Value count) {
  kernel.loop(kernel.index(0), count, panelColumns, [&](Value key) {
    Value position = kernel.add(start, key), at = kernel.rowAddress(mine, key, 4);
    Value scale = pages.valueScale(pages.pageOf(row, position), cacheHead, pages.slotOf(position));
    Value weight = kernel.load(kernel.floats, at, 64);
    kernel.store(kernel.mul(weight, kernel.load(kernel.floats, scale)), at, 64);
  });
}

// ---- values

void AttentionEmitter::emitValues(Value start, Value count, Value weights, Merge merge) {
  auto emitBlock = [&](Value firstHead, Value firstVector) {
    Values none(headBlock * outputVectors, kernel.splat(0.0f));
    Values sums = kernel.loop(
        kernel.index(0), count, spec.pageTokens, none, [&](Value first, ValueRange carried) {
          Value page = pages.pageOf(row, kernel.add(start, first));
          Value tokens = kernel.minimum(kernel.sub(count, first), kernel.index(spec.pageTokens));
          return sumPage(page, firstHead, firstVector, kernel.rowAddress(weights, first, 4), tokens,
                         carried);
        });
    for (int64_t i = 0; i < headBlock; ++i)
      for (int64_t j = 0; j < outputVectors; ++j)
        merge(kernel.add(firstHead, i), kernel.add(firstVector, j), sums[i * outputVectors + j]);
  };
  kernel.loop(kernel.index(0), kernel.index(heads), headBlock, [&](Value firstHead) {
    kernel.loop(kernel.index(0), kernel.index(vectors), outputVectors,
                [&](Value firstVector) { emitBlock(firstHead, firstVector); });
  });
}

Values AttentionEmitter::sumPage(Value page, Value firstHead, Value firstVector, Value weights,
                                 Value tokens, ValueRange chains) {
  const int64_t lineBytes = panelColumns * pages.elementBytes();
  Value values =
      kernel.rowAddress(pages.value(page, cacheHead, kernel.index(0)), firstVector, lineBytes);
  Value mine = kernel.rowAddress(weights, firstHead, scoreStride * 4);
  auto addToken = [&](Value token, ValueRange carried) {
    Value line = kernel.rowAddress(values, token, pages.valueRowBytes());
    Value column = kernel.rowAddress(mine, token, 4);
    Values next(carried), lanes;
    for (int64_t j = 0; j < outputVectors; ++j)
      lanes.push_back(pages.load(kernel.offset(line, j * lineBytes)));
    for (int64_t i = 0; i < headBlock; ++i) {
      Value weight = kernel.load(kernel.f32, kernel.offset(column, i * scoreStride * 4));
      Value repeated = kernel.broadcast(weight);
      for (int64_t j = 0; j < outputVectors; ++j) {
        Value &chain = next[i * outputVectors + j];
        chain = kernel.multiplyAdd(lanes[j], repeated, chain);
      }
    }
    return next;
  };
  return kernel.loop(kernel.index(0), tokens, 1, chains, addToken);
}

// ---- output

void AttentionEmitter::storeOutput() {
  const int64_t columns = spec.qHeads * spec.headDim;
  Value to = kernel.rowAddress(kernel.operand(2), row, rowBytes(columns));
  Value target = kernel.rowAddress(to, cacheHead, heads * spec.headDim * 4);
  // Heads stand without padding: the widest vectors that fill one.
  const int64_t length = largestDivisor(spec.headDim, panelColumns);
  Type piece = length == 1 ? kernel.f32 : Type(kernel.vectorOf(kernel.f32, length));
  forHeads([&](Value index) {
    Value from = outputVector(index, kernel.index(0));
    Value place = kernel.rowAddress(target, index, spec.headDim * 4);
    kernel.loop(kernel.index(0), kernel.index(spec.headDim), length, [&](Value dimension) {
      kernel.store(kernel.load(piece, kernel.rowAddress(from, dimension, 4)),
                   kernel.rowAddress(place, dimension, 4));
    });
  });
  if (columns == paddedColumns(columns))
    return;
  // The row's padding belongs to one tile only.
  kernel.when(kernel.equal(cacheHead, kernel.index(spec.kvHeads - 1)), [&] {
    for (int64_t column = columns; column < paddedColumns(columns); ++column)
      kernel.store(kernel.number(0.0f), kernel.offset(to, column * 4));
  });
}

void emitAttention(KernelBuilder &kernel) {
  AttentionEmitter emitter(kernel);
  kernel.forTiles([&](Value tile) { emitter.emitTile(tile); });
}

} // namespace grok::compiler
