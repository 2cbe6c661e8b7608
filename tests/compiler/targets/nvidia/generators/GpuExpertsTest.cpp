// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine against the CPU kernels, behind the CPU's `group`.
#include "compiler/kernels/GroupsLayout.h"
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

namespace {

struct ExpertCase {
  int64_t emb, ffn, experts, selected, rows;
  Element element;
  Numerics numerics;
  int64_t downGroups = 1, group = 0;
  int64_t accumulate = 0, separate = 0;
  bool someElsewhere = false; // choices of -1
  int64_t maxRows = 512;
  int64_t digits = 1;
};

} // namespace

static KernelSpec specOf(const ExpertCase &c, KernelOp op) {
  KernelSpec spec;
  spec.op = op;
  spec.numerics = c.numerics;
  spec.emb = c.emb;
  spec.ffn = c.ffn;
  spec.experts = c.experts;
  spec.selected = c.selected;
  spec.maxRows = c.maxRows;
  if (op == KernelOp::gateUp)
    spec.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics, c.group);
  if (op == KernelOp::gateUp || op == KernelOp::downCombine)
    spec.digits = c.digits;
  if (op != KernelOp::downCombine)
    return spec;
  spec.weight = WeightFormat::forContraction(c.element, c.ffn, c.downGroups, c.numerics, c.group);
  spec.accumulate = c.accumulate;
  spec.separate = c.separate;
  return spec;
}

// The groups of random choices.
static Buffer groupsOf(std::mt19937 &random, const ExpertCase &c) {
  Buffer experts = Buffer::ofWords(c.rows * c.selected);
  for (int64_t row = 0; row < c.rows; ++row) {
    std::vector<int> order(c.experts);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (int64_t j = 0; j < c.selected; ++j)
      experts.words()[row * c.selected + j] = c.someElsewhere && random() % 3 == 0 ? -1 : order[j];
  }
  Buffer groups = Buffer::ofWords(GroupsLayout(c.experts).length(c.rows, c.selected));
  auto done = runOnCpu(specOf(c, KernelOp::group), Step::ofRows(c.rows), 1, {&experts, &groups});
  return std::move(done[1]);
}

static void checkGateUp(const ExpertCase &c, const std::string &chip = "sm_90a") {
  std::mt19937 random = reproducible(21);
  KernelSpec spec = specOf(c, KernelOp::gateUp);
  const int64_t panels = c.experts * panelsOf(c.ffn);
  Buffer groups = groupsOf(random, c);
  Buffer gate = randomPanels(random, spec.weight, c.emb, panels);
  Buffer gateScales = randomScales(random, spec.weight, panels);
  Buffer up = randomPanels(random, spec.weight, c.emb, panels);
  Buffer upScales = randomScales(random, spec.weight, panels);
  Buffer x = inputRows(spec, randomRows(random, c.rows, c.emb, false), c.rows);
  Buffer y = Buffer::ofWords(c.rows * c.selected * paddedTo16(c.ffn));
  expectSameBits(spec, Step::ofRows(c.rows), groups.words()[1],
                 {&x, &gate, &gateScales, &up, &upScales, &groups, &y}, chip);
}

static void checkDown(const ExpertCase &c, const std::string &chip = "sm_90a") {
  std::mt19937 random = reproducible(22);
  KernelSpec spec = specOf(c, KernelOp::downCombine);
  const int64_t panels = panelsOf(c.emb), pairs = c.rows * c.selected;
  Buffer groups = groupsOf(random, c);
  Buffer weights = randomPanels(random, spec.weight, c.ffn, c.experts * panels);
  Buffer scales = randomScales(random, spec.weight, c.experts * panels);
  Buffer x = inputRows(spec, randomRows(random, pairs, c.ffn, false), pairs);
  Buffer gates = Buffer::ofWords(pairs);
  for (int64_t i = 0; i < pairs; ++i)
    gates.floats()[i] = 0.1f + 0.001f * static_cast<float>(random() % 500);
  Buffer out = randomRows(random, c.separate ? pairs : c.rows, c.emb, false); // to be written over
  expectSameBits(spec, Step::ofRows(c.rows), (panels + spec.tilePanels - 1) / spec.tilePanels,
                 {&x, &weights, &scales, &groups, &gates, &out}, chip);
}

static ExpertCase withRows(ExpertCase c, int64_t rows, int64_t maxRows) {
  c.rows = rows;
  c.maxRows = maxRows;
  return c;
}

static const ExpertCase everyFormat[] = {
    {96, 256, 8, 2, 3, Element::i8, Numerics::fast},
    {64, 344, 4, 2, 3, Element::i8, Numerics::fast, 8},
    {192, 512, 4, 2, 3, Element::i4, Numerics::fast, 2, 64},
    {96, 256, 4, 2, 3, Element::i3, Numerics::fast, 1, 32},
    {96, 256, 4, 2, 3, Element::f32, Numerics::f32},
    {64, 90, 4, 2, 3, Element::bf16, Numerics::f32},
    {64, 256, 4, 2, 3, Element::i8, Numerics::f32, 2},
};

TEST(GpuExperts, gateUp) {
  for (const ExpertCase &c : everyFormat) {
    checkGateUp(c);
    checkGateUp(withRows(c, 1, 1));
  }
  checkGateUp(withRows(everyFormat[0], 14, 16));
  checkGateUp(withRows(everyFormat[0], 70, 512));
}

TEST(GpuExperts, downCombine) {
  for (const ExpertCase &c : everyFormat) {
    checkDown(c);
    checkDown(withRows(c, 1, 1));
  }
  checkDown(withRows(everyFormat[2], 14, 16));
  checkDown(withRows(everyFormat[0], 70, 512));
}

// Tiles of several panels, chunks of one expert's pairs beside each other, and rows in
// parts whose pairs are searched for.
TEST(GpuExperts, chunksOfWarpgroups) {
  for (const char *chip : {"sm_90a", "sm_100a"}) {
    ExpertCase c = {96, 160, 4, 2, 180, Element::i4, Numerics::fast, 1, 32};
    checkGateUp(c, chip);
    checkDown(c, chip);
    c.emb = 144;
    c.separate = true;
    c.someElsewhere = true;
    checkDown(withRows(c, 130, 512), chip);
  }
}

TEST(GpuExperts, chunksOfTwoDigits) {
  for (const char *chip : {"sm_90a", "sm_100a"}) {
    ExpertCase c = {96, 160, 4, 2, 180, Element::i4, Numerics::fast, 1, 32};
    c.digits = 2;
    checkGateUp(c, chip);
    checkDown(c, chip);
    c.emb = 144;
    c.element = Element::i8;
    c.group = 0;
    c.separate = true;
    c.someElsewhere = true;
    checkDown(withRows(c, 130, 512), chip);
  }
}

// More pairs of an expert than a tile's rows, and fewer.
TEST(GpuExperts, fewRowsOfTwoDigits) {
  for (ExpertCase c : {everyFormat[0], everyFormat[2], everyFormat[3]}) {
    c.digits = 2;
    checkGateUp(withRows(c, 7, 8));
    checkDown(withRows(c, 1, 1));
    c.someElsewhere = true;
    checkDown(withRows(c, 40, 64));
  }
}

// More pairs than a chunk of tensor memory's.
TEST(GpuExperts, chunksInTensorMemory) {
  ExpertCase c = {96, 96, 2, 2, 130, Element::i8, Numerics::fast};
  checkGateUp(c, "sm_100a");
  c.element = Element::i3;
  c.group = 32;
  checkDown(c, "sm_100a");
}

TEST(GpuExperts, partsOfSeveralRanksAndFormats) {
  for (bool accumulate : {false, true})
    for (bool separate : {false, true}) {
      ExpertCase c = everyFormat[0];
      c.emb = 48; // the last tile has one panel
      c.accumulate = accumulate;
      c.separate = separate;
      c.someElsewhere = true;
      checkDown(c);
      checkDown(withRows(c, 1, 1));
    }
  ExpertCase c = everyFormat[0];
  c.someElsewhere = true;
  checkGateUp(withRows(c, 9, 512));
}

} // namespace grok::compiler::testing
