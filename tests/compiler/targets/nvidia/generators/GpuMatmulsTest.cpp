// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// linear and unembed against the CPU kernels of the same specification.
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include <cmath>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

namespace {

struct Format {
  Element element;
  int64_t group = 0; // of multipliers
};
struct Shape {
  int64_t inputs, columns, rowGroups;
};

} // namespace

static KernelSpec linearSpec(const Format &format, const Shape &shape, Numerics numerics,
                             int64_t maxRows) {
  KernelSpec spec;
  spec.op = KernelOp::linear;
  spec.numerics = numerics;
  spec.in = shape.inputs;
  spec.out = shape.columns;
  spec.maxRows = maxRows;
  spec.weight = WeightFormat::forContraction(format.element, shape.inputs, shape.rowGroups,
                                             numerics, format.group);
  return spec;
}

static void checkLinear(const KernelSpec &spec, int64_t rows, const std::string &chip = "sm_90a") {
  ASSERT_FALSE(problemIn(spec)) << *problemIn(spec);
  std::mt19937 random = reproducible(7);
  const int64_t panels = panelsOf(spec.out);
  Buffer weights = randomPanels(random, spec.weight, spec.in, panels);
  Buffer scales = randomScales(random, spec.weight, panels);
  Buffer x = inputRows(spec, randomRows(random, rows, spec.in, false), rows);
  Buffer y = Buffer::ofWords(rows * panels * panelColumns);
  expectSameBits(spec, Step::ofRows(rows), (panels + spec.tilePanels - 1) / spec.tilePanels,
                 {&x, &weights, &scales, &y}, chip);
}

// Units of 32 (one slice), 64, 128 with sixteen slices, slices that cross row
// groups; the last tile has one panel.
static const Shape shapes[] = {{96, 64, 1}, {256, 90, 2}, {2048, 48, 8}, {384, 40, 3}};

TEST(GpuLinear, integersOnTensorCores) {
  for (Format format : {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 32}})
    for (const Shape &shape : shapes) {
      checkLinear(linearSpec(format, shape, Numerics::fast, 1), 1);
      checkLinear(linearSpec(format, shape, Numerics::fast, 512), 3);
    }
}

TEST(GpuLinear, groupsOfSixtyFour) {
  for (Format format : {Format{Element::i4, 64}, Format{Element::i3, 64}})
    for (const Shape &shape : {Shape{192, 48, 1}, Shape{2048, 32, 4}}) {
      checkLinear(linearSpec(format, shape, Numerics::fast, 1), 1);
      checkLinear(linearSpec(format, shape, Numerics::fast, 512), 9);
    }
}

TEST(GpuLinear, manyRows) {
  for (Format format : {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 64}})
    for (int64_t rows : {9, 70})
      checkLinear(linearSpec(format, {256, 48, 1}, Numerics::fast, 512), rows);
}

// Rings of weights, one n tile of rows and two; halves of a tile, of which two blocks
// each make one; older chips without rings.
TEST(GpuLinear, fewRows) {
  for (Format format : {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 64}}) {
    for (int64_t rows : {2, 8})
      checkLinear(linearSpec(format, {256, 48, 1}, Numerics::fast, 8), rows);
    for (int64_t rows : {3, 9, 16})
      checkLinear(linearSpec(format, {256, 48, 1}, Numerics::fast, 16), rows);
    checkLinear(linearSpec(format, {1024, 48, 1}, Numerics::fast, 16), 13);
  }
  checkLinear(linearSpec({Element::i8}, {256, 48, 1}, Numerics::fast, 16), 12, "sm_80");
}

// By wgmma: whole and narrow chunks, sixteen slices, slices that cross row groups, a
// second tile with few panels.
TEST(GpuLinear, chunksOfWarpgroups) {
  for (Format format : {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 64}})
    checkLinear(linearSpec(format, {2048, 144, 1}, Numerics::fast, 512), 100);
  checkLinear(linearSpec({Element::i4, 64}, {2048, 32, 4}, Numerics::fast, 512), 33);
  checkLinear(linearSpec({Element::i3, 32}, {384, 40, 3}, Numerics::fast, 512), 81);
}

// By tcgen05, the same; and chunks that are full, or begin a second one.
TEST(GpuLinear, chunksInTensorMemory) {
  auto check = [](const Format &format, const Shape &shape, int64_t rows) {
    checkLinear(linearSpec(format, shape, Numerics::fast, 512), rows, "sm_100a");
  };
  check({Element::i8}, {2048, 144, 1}, 65);
  check({Element::i4, 32}, {2048, 144, 1}, 80);
  check({Element::i3, 64}, {1024, 48, 1}, 130);
  check({Element::i4, 64}, {2048, 32, 4}, 33);
  check({Element::i3, 32}, {384, 40, 3}, 128);
  for (const Shape &shape : {Shape{96, 64, 1}, Shape{256, 90, 2}})
    check({Element::i8}, shape, 3);
}

static KernelSpec ofTwoDigits(KernelSpec spec) {
  spec.digits = 2;
  return spec;
}

// By wgmma and tcgen05: chunks that are full, whole and narrow; each last one another.
TEST(GpuLinear, chunksOfTwoDigits) {
  for (const char *chip : {"sm_90a", "sm_100a"}) {
    auto check = [&](const Format &format, const Shape &shape, int64_t rows) {
      checkLinear(ofTwoDigits(linearSpec(format, shape, Numerics::fast, 512)), rows, chip);
    };
    check({Element::i8}, {2048, 144, 1}, 100);
    check({Element::i4, 32}, {2048, 144, 1}, 64);
    check({Element::i3, 64}, {1024, 48, 1}, 130);
    check({Element::i4, 64}, {2048, 32, 4}, 80);
    check({Element::i3, 32}, {384, 40, 3}, 81);
    for (const Shape &shape : {Shape{96, 64, 1}, Shape{256, 90, 2}})
      check({Element::i8}, shape, 3);
  }
}

// Inputs and weights that are all near their bounds: sums of a unit near 2^28, which
// float32 rounds, and sums of its digits near 2^21. Panels differ in sign.
TEST(GpuLinear, largestSumsOfTwoDigits) {
  std::mt19937 random = reproducible(11);
  const int64_t rows = 70, panels = 8;
  KernelSpec spec =
      ofTwoDigits(linearSpec({Element::i8}, {1024, panels * panelColumns, 1}, Numerics::fast, 512));
  Buffer weights = randomPanels(random, spec.weight, spec.in, panels);
  const auto bytes = static_cast<int64_t>(weights.size());
  for (int64_t i = 0; i < bytes; ++i) {
    const int largest = 127 - static_cast<int>(random() % 3);
    const bool isNegative = i / (bytes / panels) % 2;
    weights.byteData()[i] = static_cast<uint8_t>(isNegative ? -1 - largest : largest);
  }
  Buffer scales = randomScales(random, spec.weight, panels);
  Buffer plain = randomRows(random, rows, spec.in, false);
  for (int64_t i = 0; i < rows * spec.in; ++i)
    plain.floats()[i] = 1 - static_cast<float>(random() % 100) * 1e-4f;
  Buffer x = inputRows(spec, plain, rows), y = Buffer::ofWords(rows * panels * panelColumns);
  for (const char *chip : {"sm_90a", "sm_100a"})
    expectSameBits(spec, Step::ofRows(rows), panels / spec.tilePanels, {&x, &weights, &scales, &y},
                   chip);
}

// By mma.sync: one n tile, two, four and as many as there are; halves of a tile, slices
// that cross row groups, chunks that are full or nearly empty; older chips.
TEST(GpuLinear, fewRowsOfTwoDigits) {
  auto check = [](const Format &format, const Shape &shape, int64_t rows, int64_t maxRows,
                  const char *chip = "sm_90a") {
    checkLinear(ofTwoDigits(linearSpec(format, shape, Numerics::fast, maxRows)), rows, chip);
  };
  for (Format format : {Format{Element::i8}, Format{Element::i4, 32}, Format{Element::i3, 64}}) {
    check(format, {256, 48, 1}, 1, 1);
    for (int64_t rows : {3, 7})
      check(format, {256, 48, 1}, rows, 8);
    check(format, {1024, 48, 1}, 14, 16);
    check(format, {384, 40, 3}, 37, 64);
    check(format, {256, 48, 2}, 35, 512, "sm_80");
  }
  for (const Shape &shape : {Shape{96, 64, 1}, Shape{2048, 48, 8}})
    check({Element::i8}, shape, 4, 8);
  check({Element::i4, 64}, {192, 48, 1}, 2, 1, "sm_80");
  check({Element::i3, 32}, {384, 40, 3}, 5, 8, "sm_80");
}

// Units of 4 and 8 codes.
TEST(GpuLinear, shortUnitsOfTwoDigits) {
  for (const Shape &shape : {Shape{344, 64, 1}, Shape{96, 48, 8}})
    for (int64_t rows : {1, 9})
      checkLinear(ofTwoDigits(linearSpec({Element::i8}, shape, Numerics::fast, rows)), rows);
}

// Lanes load other lines at once there, and fewer of them.
TEST(GpuLinear, olderChip) {
  for (Format format : {Format{Element::i8}, Format{Element::i4, 64}, Format{Element::i3, 32}}) {
    checkLinear(linearSpec(format, {2048, 32, 1}, Numerics::fast, 1), 1, "sm_80");
    checkLinear(linearSpec(format, {256, 48, 1}, Numerics::fast, 512), 9, "sm_80");
  }
}

// A kernel for one row is right for more.
TEST(GpuLinear, rowsBeyondTheForm) {
  checkLinear(linearSpec({Element::i8}, {256, 48, 1}, Numerics::fast, 1), 3);
  checkLinear(linearSpec({Element::f32}, {96, 48, 1}, Numerics::f32, 1), 3);
}

// Units of 4 and 8 codes: too short for tensor cores; of 1: float32 rows.
TEST(GpuLinear, shortUnits) {
  for (const Shape &shape : {Shape{344, 64, 1}, Shape{96, 48, 8}, Shape{344, 40, 8}})
    for (int64_t rows : {1, 9})
      checkLinear(linearSpec({Element::i8}, shape, Numerics::fast, rows), rows);
}

TEST(GpuLinear, chainsOfFloats) {
  for (Format format : {Format{Element::f32}, Format{Element::bf16}, Format{Element::i8}})
    for (const Shape &shape : {Shape{96, 48, 1}, Shape{45, 40, 1}, Shape{2048, 32, 1}})
      for (int64_t rows : {1, 9})
        checkLinear(linearSpec(format, shape, Numerics::f32, rows), rows);
  for (Format format : {Format{Element::i4, 32}, Format{Element::i3, 32}, Format{Element::i3, 64}})
    for (int64_t rows : {1, 9})
      checkLinear(linearSpec(format, {384, 48, 1}, Numerics::f32, rows), rows);
  checkLinear(linearSpec({Element::f32}, {192, 48, 1}, Numerics::fast, 3), 3);
}

// ---- bf16 on tensor cores

// Rows of bf16 numbers, so that rounding them changes nothing; their products are
// exact, and what is left is the order of sums.
TEST(GpuLinear, halvesOnTensorCores) {
  for (const Shape &shape : {Shape{96, 48, 1}, Shape{2048, 32, 1}}) {
    KernelSpec spec = linearSpec({Element::bf16}, shape, Numerics::fast, 1);
    std::mt19937 random = reproducible(8);
    const int64_t rows = 9, panels = panelsOf(spec.out), tiles = (panels + 3) / 4;
    Buffer weights = randomPanels(random, spec.weight, spec.in, panels), scales(0);
    Buffer x = randomRows(random, rows, spec.in, /*isBf16=*/true);
    Buffer y = Buffer::ofWords(rows * panels * panelColumns);
    Step step = Step::ofRows(rows);
    KernelSpec many = spec, few = spec, exact = spec;
    many.maxRows = 512;
    few.maxRows = 16;
    exact.numerics = Numerics::f32;
    exact.maxRows = 512;
    auto expected = runOnCpu(exact, step, tiles, {&x, &weights, &scales, &y});
    Buffer sizes = copyOf(x), sizesOfWeights = copyOf(weights);
    for (size_t i = 0; i < sizes.size() / 4; ++i)
      sizes.floats()[i] = std::fabs(sizes.floats()[i]);
    for (size_t i = 0; i < weights.size() / 2; ++i)
      static_cast<uint16_t *>(sizesOfWeights.data())[i] &= 0x7fff;
    auto magnitude = runOnCpu(exact, step, tiles, {&sizes, &sizesOfWeights, &scales, &y});
    Buffer got = copyOf(y);
    GpuKernel(many).run({x, weights, scales, got}, step, {.blocks = 2});
    for (size_t i = 0; i < got.size() / 4; ++i) {
      // Both orders are off by at most this much; the magnitude by far less.
      double bound = 2.01 * dotTolerance(spec.weight, spec.in, magnitude[3].floats()[i]);
      ASSERT_NEAR(got.floats()[i], expected[3].floats()[i], bound) << i;
    }
    std::vector<Buffer> all;
    for (const Buffer *buffer : {&x, &weights, &scales, &got})
      all.push_back(copyOf(*buffer));
    expectOnGpu(many, step, all, {&x, &weights, &scales, &y});
    expectOnGpu(few, step, all, {&x, &weights, &scales, &y});
    expectOnGpu(spec, step, all, {&x, &weights, &scales, &y}); // one row at a time: the same bits
  }
}

// ---- unembed

static void checkUnembed(const std::string &chip) {
  std::mt19937 random = reproducible(9);
  KernelSpec spec;
  spec.op = KernelOp::unembed;
  spec.numerics = Numerics::fast;
  spec.emb = 96;
  spec.vocab = 90;
  spec.multiplier = 0.57735;
  spec.maxRows = 512;
  spec.weight = WeightFormat::forContraction(Element::i8, spec.emb, 1, spec.numerics);
  const int64_t rows = 11, panels = panelsOf(spec.vocab);
  Buffer weights = randomPanels(random, spec.weight, spec.emb, panels);
  Buffer scales = randomScales(random, spec.weight, panels);
  Buffer x = inputRows(spec, randomRows(random, rows, spec.emb, false), rows);
  Step step = Step::ofRows(rows);
  step.logitRow = {0, 3, 10};
  Buffer logits = Buffer::ofWords(3 * panels * panelColumns);
  expectSameBits(spec, step, (panels + 3) / 4, {&x, &weights, &scales, &logits}, chip);
}

TEST(GpuUnembed, rowsThatWantLogits) {
  for (const char *chip : {"sm_90a", "sm_100a"})
    checkUnembed(chip);
}

} // namespace grok::compiler::testing
