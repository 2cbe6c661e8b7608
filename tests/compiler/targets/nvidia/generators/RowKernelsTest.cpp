// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// embed, norms, routing and quantize: the bits of the CPU kernels, for any number of
// blocks and in any order of threads.
#include "compiler/kernels/GroupsLayout.h"
#include "dialects/plan/QuantizedRow.h"
#include "tests/compiler/kernels/QuantizedReference.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

static const std::string cpuLevel = "x86-64-v3"; // has FMA, as GPUs have

// Runs `spec` on the CPU on tiles [0, tiles), then on the GPU in every way, and
// compares each buffer. All are given in their state before the kernel.
static void expectSameBits(const KernelSpec &spec, const Step &step, int64_t tiles,
                           const std::vector<const Buffer *> &before) {
  auto copies = [&] {
    std::vector<Buffer> buffers;
    for (const Buffer *buffer : before) {
      buffers.emplace_back(buffer->size());
      std::memcpy(buffers.back().data(), buffer->data(), buffer->size());
    }
    return buffers;
  };
  std::vector<Buffer> expected = copies();
  std::vector<const void *> addresses;
  for (const Buffer &buffer : expected)
    addresses.push_back(buffer.data());
  LoadedKernels({{"kernel", spec}}, cpuLevel).run("kernel", addresses, step, 0, tiles);
  GpuKernel kernel(spec);
  for (const GpuLaunch &launch : everyLaunch()) {
    std::vector<Buffer> buffers = copies();
    kernel.run({buffers.begin(), buffers.end()}, step, launch);
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_TRUE(buffers[i] == expected[i]) << "operand " << i << ", " << nameOf(launch);
      EXPECT_TRUE(buffers[i].isGuardIntact()) << "operand " << i << ", " << nameOf(launch);
    }
  }
}

static Buffer dirty(int64_t words) {
  Buffer buffer = Buffer::ofWords(words);
  std::fill_n(buffer.floats(), words, 1e30f); // padding must be written too
  return buffer;
}

static KernelSpec specOf(KernelOp op, int64_t emb) {
  KernelSpec spec;
  spec.op = op;
  spec.emb = emb;
  spec.eps = 1e-5;
  spec.maxRows = 512;
  return spec;
}

// ---- norms

TEST(GpuNorms, rmsNorm) {
  for (int64_t emb : {16, 64, 90, 96, 192, 1000, 6144}) {
    std::mt19937 random = reproducible(5);
    Buffer x = randomRows(random, 3, emb, false, 3.0f), scale = randomRows(random, 1, emb, false);
    Buffer y = dirty(3 * paddedTo16(emb));
    expectSameBits(specOf(KernelOp::rmsNorm, emb), Step::ofRows(3), 3, {&x, &scale, &y});
  }
}

TEST(GpuNorms, manyRows) {
  std::mt19937 random = reproducible(7);
  Buffer x = randomRows(random, 70, 96, false, 3.0f), scale = randomRows(random, 1, 96, false);
  Buffer y = dirty(70 * 96);
  expectSameBits(specOf(KernelOp::rmsNorm, 96), Step::ofRows(70), 70, {&x, &scale, &y});
}

TEST(GpuNorms, residualNorm) {
  for (int64_t parts : {1, 2, 3, 8})
    for (int64_t emb : {90, 192, 15008}) { // the last is too wide to be held
      if (emb > 192 && parts > 2)
        continue;
      std::mt19937 random = reproducible(6);
      KernelSpec spec = specOf(KernelOp::residualNorm, emb);
      spec.parts = parts;
      Buffer h = randomRows(random, 3, emb, false);
      Buffer added = randomRows(random, 3 * parts, emb, false, 10.0f);
      Buffer post = randomRows(random, 1, emb, false), next = randomRows(random, 1, emb, false);
      Buffer x = dirty(3 * paddedTo16(emb));
      expectSameBits(spec, Step::ofRows(3), 3, {&h, &added, &post, &next, &x});
    }
}

TEST(GpuNorms, combine) {
  const int64_t emb = 90, rows = 3, selected = 4;
  std::mt19937 random = reproducible(17);
  KernelSpec spec = specOf(KernelOp::combine, emb);
  spec.selected = selected;
  Buffer x = randomRows(random, rows * selected, emb, false);
  Buffer gates = Buffer::ofWords(rows * selected), experts = Buffer::ofWords(rows * selected);
  const int32_t ids[] = {5, 0, 3, 7, 1, 2, 3, 4, 7, 6, 5, 4};
  std::copy(std::begin(ids), std::end(ids), experts.words());
  for (int64_t i = 0; i < rows * selected; ++i)
    gates.floats()[i] = 0.1f + 0.07f * static_cast<float>(i);
  Buffer y = dirty(rows * paddedTo16(emb));
  expectSameBits(spec, Step::ofRows(rows), rows, {&x, &gates, &experts, &y});
}

// ---- embed

struct EmbedCase {
  int64_t emb, vocab;
  Element element;
  Numerics numerics;
  bool isLocal = false;
};

static void checkEmbed(const EmbedCase &c) {
  std::mt19937 random = reproducible(11);
  KernelSpec spec = specOf(KernelOp::embed, c.emb);
  spec.numerics = c.numerics;
  spec.vocab = c.vocab;
  spec.multiplier = 9.7979589711327;
  spec.localTokens = c.isLocal;
  spec.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics);
  TestMatrix table = randomMatrix(random, c.emb, c.vocab, spec.weight, c.numerics);
  const auto last = static_cast<int32_t>(c.vocab - 1);
  Step step = Step::ofRows(5);
  step.tokens = {0, 5, last, 17, 24};
  Buffer first = Buffer::ofWords(1), h = dirty(5 * paddedTo16(c.emb));
  if (c.isLocal) { // a rank that holds the tokens from 24 on
    first.words()[0] = 24;
    step.tokens = {0, 23, 24, 31, 24 + last + 1};
  }
  std::vector<const Buffer *> operands = {&table.packed, &table.scales, &h};
  if (c.isLocal)
    operands.push_back(&first);
  expectSameBits(spec, step, 5, operands);
}

TEST(GpuEmbed, everyTable) {
  checkEmbed({96, 512, Element::f32, Numerics::f32});
  checkEmbed({90, 50, Element::bf16, Numerics::f32});
  checkEmbed({45, 50, Element::bf16, Numerics::fast});
  checkEmbed({96, 50, Element::i8, Numerics::f32});
  checkEmbed({1088, 50, Element::i8, Numerics::fast});
  checkEmbed({45, 50, Element::i8, Numerics::fast});
}

TEST(GpuEmbed, localTokens) {
  checkEmbed({96, 40, Element::f32, Numerics::f32, true});
  checkEmbed({90, 50, Element::bf16, Numerics::f32, true});
  checkEmbed({45, 50, Element::i8, Numerics::fast, true});
}

// ---- routing

static KernelSpec routing(KernelOp op, int64_t emb, int64_t experts, int64_t selected) {
  KernelSpec spec = specOf(op, emb);
  spec.experts = experts;
  spec.selected = selected;
  spec.ffn = 344;
  spec.weight = WeightFormat::forContraction(Element::f32, emb);
  return spec;
}

TEST(GpuRoute, softmaxAndTopExperts) {
  struct Case {
    int64_t emb, experts, selected;
  };
  for (Case c : {Case{96, 8, 2}, Case{90, 4, 1}, Case{64, 20, 3}, Case{7, 2, 2}, Case{192, 40, 5},
                 Case{1500, 8, 2}}) {
    std::mt19937 random = reproducible(21);
    KernelSpec spec = routing(KernelOp::route, c.emb, c.experts, c.selected);
    TestMatrix router = randomMatrix(random, c.emb, c.experts, spec.weight, Numerics::f32);
    Buffer x = randomRows(random, 9, c.emb, false, 0.2f);
    Buffer gates = dirty(9 * c.selected), experts = dirty(9 * c.selected);
    expectSameBits(spec, Step::ofRows(9), 9, {&x, &router.packed, &gates, &experts});
  }
}

TEST(GpuRoute, tiesAndNan) {
  KernelSpec spec = routing(KernelOp::route, 32, 8, 2);
  Buffer x = Buffer::ofWords(64), router = Buffer::ofWords(512), gates = dirty(4),
         experts = dirty(4);
  std::fill_n(x.floats() + 32, 32, std::nanf(""));
  GpuKernel kernel(spec);
  for (const GpuLaunch &launch : everyLaunch()) {
    kernel.run({x, router, gates, experts}, Step::ofRows(2), launch);
    EXPECT_EQ(experts.words()[0], 0);
    EXPECT_EQ(experts.words()[1], 1);
    EXPECT_EQ(gates.floats()[0], 0.125f);
    for (int i = 2; i < 4; ++i)
      EXPECT_TRUE(experts.words()[i] >= 0 && experts.words()[i] < 8);
  }
}

// What stands in `groups`, without the entries that belong to no active expert.
static std::vector<int32_t> usedParts(const Buffer &groups, int64_t experts) {
  const GroupsLayout layout(experts);
  const int32_t *words = groups.words();
  const int64_t active = words[layout.activeCount], pairs = words[layout.pairCount];
  std::vector<int32_t> used(words, words + layout.ids);
  for (auto [first, count] : {std::pair(layout.ids, active), std::pair(layout.offsets, active + 1),
                              std::pair(layout.pairs, pairs)})
    used.insert(used.end(), words + first, words + first + count);
  return used;
}

TEST(GpuRoute, group) {
  struct Case {
    int64_t rows, experts, selected;
  };
  for (Case c : {Case{1, 8, 2}, Case{3, 1, 2}, Case{70, 8, 2}, Case{9, 40, 3}}) {
    std::mt19937 random = reproducible(22);
    KernelSpec spec = routing(KernelOp::group, 32, c.experts, c.selected);
    Buffer experts = Buffer::ofWords(c.rows * c.selected);
    for (int64_t i = 0; i < c.rows * c.selected; ++i) // -1: elsewhere
      experts.words()[i] = static_cast<int32_t>(random() % (c.experts + 1)) - 1;
    Buffer groups = dirty(GroupsLayout(c.experts).length(c.rows, c.selected));
    LoadedKernels({{"group", spec}}, cpuLevel)
        .run("group", {experts.data(), groups.data()}, Step::ofRows(c.rows), 0, 1);
    GpuKernel kernel(spec);
    for (const GpuLaunch &launch : everyLaunch()) {
      Buffer own = dirty(static_cast<int64_t>(groups.size() / 4));
      kernel.run({experts, own}, Step::ofRows(c.rows), launch);
      EXPECT_EQ(usedParts(own, c.experts), usedParts(groups, c.experts)) << nameOf(launch);
      EXPECT_TRUE(own.isGuardIntact());
    }
  }
}

TEST(GpuRoute, mapExperts) {
  for (int64_t rows : {1, 3, 300}) {
    std::mt19937 random = reproducible(23);
    Buffer experts = Buffer::ofWords(rows * 2), slots = Buffer::ofWords(4),
           places = dirty(rows * 2);
    const int32_t slotOf[] = {-1, 0, -1, 1};
    std::copy(std::begin(slotOf), std::end(slotOf), slots.words());
    for (int64_t i = 0; i < rows * 2; ++i)
      experts.words()[i] = static_cast<int32_t>(random() % 5) - 1;
    expectSameBits(routing(KernelOp::mapExperts, 32, 4, 2), Step::ofRows(rows), rows,
                   {&experts, &slots, &places});
  }
}

// ---- quantize

static void checkRecords(int64_t inputs, int64_t rowGroups, int64_t digits) {
  std::mt19937 random = reproducible(5);
  KernelSpec spec;
  spec.op = KernelOp::quantize;
  spec.numerics = Numerics::fast;
  spec.maxRows = 8;
  spec.in = inputs;
  spec.weight = WeightFormat::forContraction(Element::i8, inputs, rowGroups, Numerics::fast);
  spec.digits = digits;
  const int64_t unit = spec.weight.unit;
  Buffer x = randomRows(random, 3, inputs, false, 3.0f);
  x.floats()[1] = 1e6f;              // a spike hides its neighbours
  for (int64_t k = 0; k < unit; ++k) // a unit of zeros has scale 0
    x.floats()[2 * paddedTo16(inputs) + k] = 0;
  Buffer records = dirty(3 * plan::QuantizedRow::of(inputs, unit, digits).bytes / 4);
  expectSameBits(spec, Step::ofRows(3), 3, {&x, &records});
  Buffer defined = quantizedRows(x.floats(), 3, inputs, unit, digits),
         own = dirty(static_cast<int64_t>(records.size()) / 4);
  GpuKernel(spec).run({x, own}, Step::ofRows(3));
  EXPECT_TRUE(own == defined);
  spec.selected = 2; // the rows are pairs, as many as the groups say
  Buffer groups = Buffer::ofWords(GroupsLayout(4).length(3, 2));
  groups.words()[GroupsLayout(4).pairCount] = 2;
  expectSameBits(spec, Step::ofRows(3), 2, {&x, &records, &groups});
}

TEST(GpuQuantize, records) {
  struct Case {
    int64_t inputs, rowGroups;
  };
  for (Case c : {Case{6144, 8}, Case{512, 1}, Case{192, 2}, Case{96, 1}, Case{80, 1}, Case{88, 1},
                 Case{36, 1}})
    for (int64_t digits : {1, 2})
      checkRecords(c.inputs, c.rowGroups, digits);
}

// ---- the service that times memory

TEST(GpuRead, readsEveryWord) {
  constexpr int64_t tiles = 4, tileWords = 16384, warps = 8;
  std::mt19937 random = reproducible(11);
  Buffer data = Buffer::ofWords(tiles * tileWords), sums = dirty(tiles * warps);
  Buffer count = Buffer::ofWords(1);
  for (int64_t i = 0; i < tiles * tileWords; ++i)
    data.words()[i] = static_cast<int32_t>(random());
  count.words()[0] = tiles;
  std::vector<int32_t> expected(tiles * warps, 0);
  for (int64_t i = 0; i < tiles * tileWords; ++i) // 32 lanes of 4 words
    expected[i / tileWords * warps + i / 128 % warps] ^= data.words()[i];
  GpuKernel kernel(specOf(KernelOp::read, 0));
  for (const GpuLaunch &launch : everyLaunch()) {
    std::fill_n(sums.words(), tiles * warps, -1);
    kernel.run({data, sums, count}, Step::ofRows(1), launch);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), sums.words())) << nameOf(launch);
  }
}

} // namespace grok::compiler::testing
