// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// qkv against the CPU kernel: queries, and every byte of the cache.
#include "tests/compiler/kernels/CacheHarness.h"
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

namespace {

struct QkvCase {
  int64_t emb, qHeads, kvHeads, headDim, rows;
  Element element;
  Numerics numerics;
  CacheElement kv;
  int64_t group = 0;
  int64_t digits = 1;
};

} // namespace

// Rows of two sequences at several positions; some tokens are pads.
static Step stepOf(const QkvCase &c, const CachePool &cache) {
  Step step;
  for (int64_t row = 0; row < c.rows; ++row) {
    step.tokens.push_back(static_cast<int32_t>(row % 3));
    step.positions.push_back(static_cast<int32_t>(row / 2 + 13));
    step.sequences.push_back(static_cast<int32_t>(row % 2));
    step.logitRow.push_back(static_cast<int32_t>(row));
  }
  cache.describe(step);
  return step;
}

static void check(const QkvCase &c, int64_t maxRows = 512, const std::string &chip = "sm_90a") {
  std::mt19937 random = reproducible(41);
  KernelSpec spec = qkvSpec(c);
  spec.maxRows = maxRows;
  spec.digits = c.digits;
  spec.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics, c.group);
  const int64_t panels = panelsOf(c.headDim);
  auto weights = [&](int64_t heads) {
    return randomPanels(random, spec.weight, c.emb, heads * panels);
  };
  auto scales = [&](int64_t heads) { return randomScales(random, spec.weight, heads * panels); };
  Buffer wq = weights(c.qHeads), sq = scales(c.qHeads), wk = weights(c.kvHeads),
         sk = scales(c.kvHeads), wv = weights(c.kvHeads), sv = scales(c.kvHeads);
  Buffer x = inputRows(spec, randomRows(random, c.rows, c.emb, false), c.rows);
  Buffer rope = Buffer::ofWords(spec.maxContext * c.headDim);
  for (int64_t i = 0; i < spec.maxContext * c.headDim; ++i)
    rope.floats()[i] = static_cast<float>(random() % 2001) / 1000 - 1;
  Buffer q = Buffer::ofWords(c.rows * c.qHeads * paddedTo16(c.headDim));
  CachePool cache(spec, /*sequences=*/2, /*layer=*/1);
  // The operand starts inside the pool; the rest of page 0 belongs to another layer.
  const size_t before = static_cast<uint8_t *>(cache.operand()) - cache.pool.byteData();
  Buffer seen(cache.pool.size() - before);
  expectSameBits(spec, stepOf(c, cache), c.qHeads + 2 * c.kvHeads,
                 {&x, &wq, &sq, &wk, &sk, &wv, &sv, &rope, &q, &seen}, chip);
}

TEST(GpuQkv, everyCache) {
  for (CacheElement kv :
       {CacheElement::f32, CacheElement::bf16, CacheElement::i8, CacheElement::e4m3})
    for (int64_t headDim : {16, 32, 24, 128}) {
      check({96, 4, 2, headDim, 3, Element::i8, Numerics::fast, kv});
      check({64, 2, 1, headDim, 1, Element::i8, Numerics::fast, kv}, 1);
    }
}

TEST(GpuQkv, everyFormat) {
  for (CacheElement kv : {CacheElement::f32, CacheElement::i8, CacheElement::e4m3}) {
    check({96, 2, 1, 32, 3, Element::f32, Numerics::f32, kv});
    check({45, 2, 1, 16, 3, Element::bf16, Numerics::f32, kv});
    check({192, 2, 1, 64, 3, Element::i4, Numerics::fast, kv, 64});
    check({96, 2, 1, 32, 3, Element::i3, Numerics::fast, kv, 32});
  }
}

TEST(GpuQkv, manyRows) {
  for (CacheElement kv : {CacheElement::bf16, CacheElement::i8, CacheElement::e4m3}) {
    check({96, 4, 2, 32, 9, Element::i8, Numerics::fast, kv});
    check({96, 4, 2, 32, 15, Element::i8, Numerics::fast, kv}, 16);
    for (const char *chip : {"sm_90a", "sm_100a"})
      check({96, 2, 1, 32, 70, Element::i8, Numerics::fast, kv}, 512, chip);
  }
}

TEST(GpuQkv, fewRowsOfTwoDigits) {
  for (CacheElement kv : {CacheElement::bf16, CacheElement::i8}) {
    check({96, 4, 2, 128, 1, Element::i8, Numerics::fast, kv, 0, 2}, 1);
    check({192, 2, 1, 64, 6, Element::i4, Numerics::fast, kv, 64, 2}, 8);
    check({96, 2, 1, 32, 21, Element::i3, Numerics::fast, kv, 32, 2}, 64);
  }
}

TEST(GpuQkv, manyRowsOfTwoDigits) {
  for (CacheElement kv : {CacheElement::bf16, CacheElement::i8, CacheElement::e4m3})
    for (const char *chip : {"sm_90a", "sm_100a"}) {
      check({96, 2, 1, 32, 70, Element::i8, Numerics::fast, kv, 0, 2}, 512, chip);
      check({192, 2, 1, 64, 90, Element::i4, Numerics::fast, kv, 64, 2}, 512, chip);
    }
}

} // namespace grok::compiler::testing
