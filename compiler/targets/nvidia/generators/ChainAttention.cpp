// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention by fused multiply-add in the order of the CPU kernel: one row a tile, a
// thread per key for the scores, a thread per dimension for the weighted values.
#include "compiler/kernels/CacheCodes.h"
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/AttentionTiles.h"

#include <algorithm>

namespace grok::compiler {

namespace {

constexpr int64_t mostHeadsAtOnce = 16;

int64_t largestDivisor(int64_t value, int64_t limit) {
  int64_t divisor = std::min(value, limit);
  while (value % divisor != 0)
    --divisor;
  return divisor;
}

class ChainAttention : public AttentionTiles {
public:
  explicit ChainAttention(GpuBuilder &kernel)
      : AttentionTiles(kernel, /*tileRows=*/1, evenHeads(kernel.spec), kernel.spec.keySlice),
        query(kernel.sharedMemory(heads * dimensions * 4)) {}

private:
  static int64_t evenHeads(const KernelSpec &spec) {
    return (spec.qHeads / spec.kvHeads + 1) / 2 * 2;
  }

  void loadQueries() override;
  void emitScores(Value slice) override;
  int64_t scoreKeys() const override { return panelColumns; }
  Value powerOfE(Value x) override { return exponential(kernel, x); }
  void storeWeight(Value query, Value key, Value weight) override;
  void emitValues(Value slice) override;

  void emitKey(Value slice, Value key);
  Values dots(Value page, Value slot, Value firstHead, int64_t count);
  Value finish(Value dot, Value key);
  Value element(Value address);

  Value query; // float32 [heads][dimensions]
};

} // namespace

void ChainAttention::loadQueries() {
  kernel.forThreads(heads * dimensions, [&](Value element) {
    Value from = queryAddress(firstRow, kernel.quotient(element, dimensions));
    Value dimension = kernel.remainder(element, dimensions);
    kernel.store(kernel.load(kernel.f32, floatAt(from, dimension)), floatAt(query, element));
  });
}

// An element of the cache as float32; a code without its scale.
Value ChainAttention::element(Value address) {
  switch (spec.kv) {
  case CacheElement::f32:
    return kernel.load(kernel.f32, address);
  case CacheElement::bf16: {
    Value half = kernel.widenUnsigned(kernel.load(kernel.i16, address), kernel.i32);
    return kernel.fromBits(kernel.shiftLeft(half, 16));
  }
  case CacheElement::i8:
  case CacheElement::e4m3:
    return valueOfCode(kernel, spec.kv, kernel.widen(kernel.load(kernel.i8, address), kernel.i32));
  }
  return {};
}

// ---- scores

void ChainAttention::emitScores(Value slice) {
  Value count = kernel.add(keysOf(slice), panelColumns - 1);
  count = kernel.mul(kernel.quotient(count, panelColumns), panelColumns);
  kernel.forThreads(count, [&](Value key) { emitKey(slice, key); });
}

void ChainAttention::emitKey(Value slice, Value key) {
  Value last = kernel.add(keysOf(slice), -1), start = startOf(slice);
  Value position = kernel.add(start, kernel.minimum(key, last));
  Value page = pages.pageOf(firstRow, position), slot = pages.slotOf(position);
  const int64_t block = largestDivisor(heads, mostHeadsAtOnce);
  auto scoreAt = [&](Value head) {
    return floatAt(scores, kernel.add(kernel.mul(head, scoreStride), key));
  };
  kernel.loop(kernel.index(0), kernel.index(heads), block, [&](Value firstHead) {
    Values sums = dots(page, slot, firstHead, block);
    for (int64_t i = 0; i < block; ++i) {
      Value own = kernel.add(firstHead, i);
      kernel.store(maskedScore(finish(sums[i], key), own, key, start), scoreAt(own));
    }
  });
  if (queries > heads) // one more, so that half warps go in pairs
    kernel.store(kernel.number(0.0f), scoreAt(kernel.index(heads)));
}

Values ChainAttention::dots(Value page, Value slot, Value firstHead, int64_t count) {
  constexpr int64_t most = 8;
  const int64_t ahead = largestDivisor(dimensions, most);
  const int64_t lineBytes = spec.pageTokens * pages.elementBytes();
  Value keys = pages.key(page, head, kernel.index(0), slot);
  Value own = kernel.rowAddress(query, firstHead, dimensions * 4);
  return kernel.loop(
      kernel.index(0), kernel.index(dimensions), ahead, Values(count, kernel.number(0.0f)),
      [&](Value first, ValueRange carried) {
        Values next(carried), elements;
        Value line = kernel.rowAddress(keys, first, lineBytes), column = floatAt(own, first);
        for (int64_t j = 0; j < ahead; ++j)
          elements.push_back(element(kernel.offset(line, j * lineBytes)));
        for (int64_t i = 0; i < count; ++i)
          for (int64_t j = 0; j < ahead; ++j) {
            Value q = kernel.load(kernel.f32, kernel.offset(column, (i * dimensions + j) * 4));
            next[i] = kernel.multiplyAdd(elements[j], q, next[i]);
          }
        return next;
      });
}

Value ChainAttention::finish(Value dot, Value key) {
  Value score = scaledDot(dot, key);
  if (spec.softcap == 0)
    return score;
  Value cap = kernel.number(static_cast<float>(spec.softcap));
  return kernel.mul(cap, hyperbolicTangent(kernel, kernel.div(score, cap)));
}

// ---- values

void ChainAttention::storeWeight(Value ownQuery, Value key, Value weight) {
  kernel.store(weight, floatAt(scores, kernel.add(kernel.mul(ownQuery, scoreStride), key)));
}

void ChainAttention::emitValues(Value slice) {
  const int64_t elements = heads * dimensions;
  const int64_t perThread = (elements + kernel.threads - 1) / kernel.threads;
  Values ownHeads, ownDimensions;
  for (int64_t i = 0; i < perThread; ++i) {
    Value own = kernel.add(kernel.thread, i * kernel.threads);
    own = kernel.minimum(own, kernel.index(elements - 1));
    ownHeads.push_back(kernel.quotient(own, dimensions));
    // The same for all where dimensions divide the threads.
    const bool isShared = kernel.threads % dimensions == 0 && i > 0;
    ownDimensions.push_back(isShared ? ownDimensions[0] : kernel.remainder(own, dimensions));
  }
  Value count = keysOf(slice), start = startOf(slice);
  auto addKey = [&](Value page, Value first, Value slot, ValueRange carried) {
    Values next(carried);
    Value key = kernel.add(first, slot), value;
    for (int64_t i = 0; i < perThread; ++i) {
      if (i == 0 || ownDimensions[i] != ownDimensions[0])
        value = element(pages.value(page, head, slot, ownDimensions[i]));
      Value at = kernel.add(kernel.mul(ownHeads[i], scoreStride), key);
      next[i] = kernel.multiplyAdd(value, kernel.load(kernel.f32, floatAt(scores, at)), next[i]);
    }
    return next;
  };
  Values sums = kernel.loop(
      kernel.index(0), count, spec.pageTokens, Values(perThread, kernel.number(0.0f)),
      [&](Value first, ValueRange carried) {
        Value page = pages.pageOf(firstRow, kernel.add(start, first));
        Value tokens = kernel.minimum(kernel.sub(count, first), kernel.index(spec.pageTokens));
        return kernel.loop(kernel.index(0), tokens, 1, carried, [&](Value slot, ValueRange inner) {
          return addKey(page, first, slot, inner);
        });
      });
  for (int64_t i = 0; i < perThread; ++i) {
    Value own = kernel.add(kernel.thread, i * kernel.threads);
    kernel.when(kernel.less(own, kernel.index(elements)),
                [&] { mergeValue(ownHeads[i], ownDimensions[i], sums[i]); });
  }
}

void emitChainAttention(GpuBuilder &kernel) { ChainAttention(kernel).emit(); }

} // namespace grok::compiler
