// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// gate_up and down_combine behind route's output and group.
#include "compiler/kernels/GroupsLayout.h"
#include "tests/compiler/kernels/QuantizedReference.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

struct ExpertCase {
  int64_t emb, ffn, experts, selected, rows, downGroups;
  Element element;
  Numerics numerics;
  int64_t digits = 1;
};

class ExpertKernels : public ::testing::TestWithParam<std::string> {
protected:
  // The three kernels over one set of weights.
  struct Setup {
    ExpertCase c;
    TestExperts gate, up, down;
    Buffer x, gates, experts;
    KernelSpec group, gateUp, downCombine;
  };
  static Setup setUpCase(const ExpertCase &c);

  // Outputs of rows [first, first + count), by kernels of one form.
  struct Outputs {
    Buffer groups, y, out;
  };
  Outputs run(const LoadedKernels &kernels, const Setup &s, bool isGemv, int64_t first,
              int64_t count, bool oneTileAtATime);
  static bool hasTiles() { return cpuLevelNamed(GetParam())->tiles.hasTiles; }
  static void compare(const Setup &s, const Outputs &outputs);
  static double geluTanh(double g) {
    return 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
  }
  void check(const ExpertCase &c);
};

ExpertKernels::Setup ExpertKernels::setUpCase(const ExpertCase &c) {
  std::mt19937 random = reproducible(31);
  KernelSpec spec;
  spec.numerics = c.numerics;
  spec.emb = c.emb;
  spec.ffn = c.ffn;
  spec.experts = c.experts;
  spec.selected = c.selected;
  KernelSpec group = spec, gateUp = spec, down = spec;
  group.op = KernelOp::group;
  gateUp.op = KernelOp::gateUp;
  gateUp.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics);
  down.op = KernelOp::downCombine;
  down.weight = WeightFormat::forContraction(c.element, c.ffn, c.downGroups, c.numerics);
  gateUp.digits = down.digits = c.digits;
  bool isBf16 = c.numerics == Numerics::bf16;
  Setup s{c,
          randomExperts(random, c.experts, c.emb, c.ffn, gateUp.weight, c.numerics),
          randomExperts(random, c.experts, c.emb, c.ffn, gateUp.weight, c.numerics),
          randomExperts(random, c.experts, c.ffn, c.emb, down.weight, c.numerics),
          randomRows(random, c.rows, c.emb, isBf16),
          Buffer(c.rows * c.selected * 4),
          Buffer(c.rows * c.selected * 4),
          group,
          gateUp,
          down};
  for (int64_t row = 0; row < c.rows; ++row) {
    std::vector<int> order(c.experts);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (int64_t j = 0; j < c.selected; ++j) {
      s.experts.words()[row * c.selected + j] = order[j];
      s.gates.floats()[row * c.selected + j] = 0.1f + 0.001f * static_cast<float>(random() % 500);
    }
  }
  return s;
}

ExpertKernels::Outputs ExpertKernels::run(const LoadedKernels &kernels, const Setup &s, bool isGemv,
                                          int64_t first, int64_t count, bool oneTileAtATime) {
  const ExpertCase &c = s.c;
  Outputs o{Buffer(GroupsLayout(c.experts).length(count, c.selected) * 4),
            Buffer(count * c.selected * paddedTo16(c.ffn) * 4),
            Buffer(count * paddedTo16(c.emb) * 4)};
  Step step = Step::ofRows(count);
  std::string form = isGemv ? "gemv" : "gemm";
  auto runTiles = [&](const std::string &symbol, const std::vector<const void *> &buffers,
                      int64_t tiles) {
    if (!oneTileAtATime)
      return kernels.run(symbol, buffers, step, 0, tiles);
    for (int64_t tile = tiles; tile-- > 0;)
      kernels.run(symbol, buffers, step, tile, tile + 1);
  };
  const int32_t *experts = s.experts.words() + first * c.selected;
  const float *gates = s.gates.floats() + first * c.selected;
  const float *x = s.x.floats() + first * paddedTo16(c.emb);
  auto inputOf = [&](const float *rows, int64_t number, int64_t inputs, const KernelSpec &spec) {
    Buffer plain(number * paddedTo16(inputs) * 4);
    std::memcpy(plain.data(), rows, plain.size());
    return readsQuantizedRows(spec)
               ? quantizedRows(rows, number, inputs, spec.weight.unit, spec.digits)
               : std::move(plain);
  };
  Buffer gateInput = inputOf(x, count, c.emb, s.gateUp);
  kernels.run("group", {experts, o.groups.data()}, step, 0, 1);
  runTiles("gate_up_" + form,
           {gateInput.data(), s.gate.packed.data(), s.gate.scales.data(), s.up.packed.data(),
            s.up.scales.data(), o.groups.data(), o.y.data()},
           o.groups.words()[1]);
  Buffer downInput = inputOf(o.y.floats(), count * c.selected, c.ffn, s.downCombine);
  runTiles("down_" + form,
           {downInput.data(), s.down.packed.data(), s.down.scales.data(), o.groups.data(), gates,
            o.out.data()},
           (c.emb + 63) / 64);
  EXPECT_TRUE(o.groups.isGuardIntact() && o.y.isGuardIntact() && o.out.isGuardIntact());
  return o;
}

void ExpertKernels::compare(const Setup &s, const Outputs &o) {
  const ExpertCase &c = s.c;
  const GroupsLayout layout(c.experts);
  const int64_t ffnStride = paddedTo16(c.ffn), embStride = paddedTo16(c.emb);
  const bool isBf16 = c.numerics == Numerics::bf16;
  const int64_t pairs = c.rows * c.selected;
  auto seenBy = [&](const Buffer &rows, int64_t number, int64_t inputs, const KernelSpec &spec) {
    const int64_t unit = spec.weight.unit;
    if (!readsQuantizedRows(spec)) {
      Buffer plain(number * paddedTo16(inputs) * 4);
      std::memcpy(plain.data(), rows.data(), plain.size());
      const bool isRounded =
          c.numerics == Numerics::fast && c.element == Element::bf16 && hasTiles();
      for (float *at = plain.floats(); isRounded && at < plain.floats() + plain.size() / 4; ++at)
        *at = roundedToBf16(*at);
      return plain;
    }
    return dequantizedRows(quantizedRows(rows.floats(), number, inputs, unit, spec.digits), number,
                           inputs, unit, spec.digits);
  };
  Buffer seenX = seenBy(s.x, c.rows, c.emb, s.gateUp);
  Buffer seenY = seenBy(o.y, pairs, c.ffn, s.downCombine);
  std::vector<double> sums(c.rows * c.emb), bounds(c.rows * c.emb);
  for (int64_t position = 0; position < pairs; ++position) {
    int64_t pair = o.groups.words()[layout.pairs + position], row = pair / c.selected;
    int64_t expert = s.experts.words()[pair];
    const float *x = seenX.floats() + row * embStride, *y = o.y.floats() + position * ffnStride;
    const float *downInput = seenY.floats() + position * ffnStride;
    for (int64_t f = 0; f < c.ffn; ++f) {
      double g = 0, u = 0, gMagnitude = 0, uMagnitude = 0;
      for (int64_t k = 0; k < c.emb; ++k) {
        double gProduct = x[k] * s.gate.matrices[expert].at(k, f);
        double uProduct = x[k] * s.up.matrices[expert].at(k, f);
        g += gProduct, gMagnitude += std::fabs(gProduct);
        u += uProduct, uMagnitude += std::fabs(uProduct);
      }
      double gBound = dotTolerance(s.gateUp.weight, c.emb, gMagnitude);
      double uBound = dotTolerance(s.gateUp.weight, c.emb, uMagnitude);
      if (isBf16) {
        gBound += std::ldexp(std::fabs(g) + gBound, -8);
        uBound += std::ldexp(std::fabs(u) + uBound, -8);
      }
      // |gelu'| < 1.13; gelu's own error: 8 roundings of a value below |g|.
      double gelu = geluTanh(g), geluBound = 1.13 * gBound + 8 * std::ldexp(std::fabs(g), -24);
      ASSERT_NEAR(y[f], gelu * u,
                  geluBound * (std::fabs(u) + uBound) + std::fabs(gelu) * uBound +
                      std::ldexp(std::fabs(gelu * u), -24))
          << "pair " << pair << " column " << f;
    }
    for (int64_t f = c.ffn; f < ffnStride; ++f)
      ASSERT_EQ(y[f], 0.0f);
    float gate = s.gates.floats()[pair];
    gate = isBf16 ? roundedToBf16(gate) : gate;
    for (int64_t e = 0; e < c.emb; ++e) {
      double dot = 0, magnitude = 0;
      for (int64_t f = 0; f < c.ffn; ++f) {
        double product = downInput[f] * s.down.matrices[expert].at(f, e);
        dot += product, magnitude += std::fabs(product);
      }
      sums[row * c.emb + e] += gate * dot;
      bounds[row * c.emb + e] += gate * (dotTolerance(s.downCombine.weight, c.ffn, magnitude) +
                                         2 * std::ldexp(magnitude, -24));
    }
  }
  for (int64_t row = 0; row < c.rows; ++row)
    for (int64_t e = 0; e < embStride; ++e) {
      float actual = o.out.floats()[row * embStride + e];
      if (e >= c.emb) {
        ASSERT_EQ(actual, 0.0f);
        continue;
      }
      double sum = sums[row * c.emb + e], bound = bounds[row * c.emb + e];
      ASSERT_NEAR(actual, sum, isBf16 ? bound + std::ldexp(std::fabs(sum) + bound, -8) : bound);
    }
}

void ExpertKernels::check(const ExpertCase &c) {
  Setup s = setUpCase(c);
  KernelSpec gateUpGemm = s.gateUp, downGemm = s.downCombine;
  gateUpGemm.maxRows = downGemm.maxRows = 512;
  LoadedKernels kernels({{"group", s.group},
                         {"gate_up_gemv", s.gateUp},
                         {"gate_up_gemm", gateUpGemm},
                         {"down_gemv", s.downCombine},
                         {"down_gemm", downGemm}},
                        GetParam());
  Outputs all = run(kernels, s, /*isGemv=*/false, 0, c.rows, /*oneTileAtATime=*/false);
  compare(s, all);
  Outputs split = run(kernels, s, /*isGemv=*/false, 0, c.rows, /*oneTileAtATime=*/true);
  EXPECT_TRUE(split.y == all.y && split.out == all.out);
  for (int64_t row = 0; row < c.rows; ++row)
    for (bool isGemv : {true, false}) {
      Outputs alone = run(kernels, s, isGemv, row, 1, /*oneTileAtATime=*/false);
      ASSERT_EQ(0, std::memcmp(alone.out.data(), all.out.floats() + row * paddedTo16(c.emb),
                               paddedTo16(c.emb) * 4))
          << "row " << row << (isGemv ? " GEMV" : " GEMM");
    }
}

TEST_P(ExpertKernels, int8) { check({96, 256, 8, 2, 20, 1, Element::i8, Numerics::f32}); }
TEST_P(ExpertKernels, oddShapes) { check({90, 344, 4, 1, 7, 2, Element::i8, Numerics::f32}); }
TEST_P(ExpertKernels, fewColumns) { check({24, 40, 3, 2, 4, 1, Element::i8, Numerics::f32}); }
TEST_P(ExpertKernels, float32) { check({64, 96, 4, 2, 6, 1, Element::f32, Numerics::f32}); }
TEST_P(ExpertKernels, bfloat16) { check({64, 96, 4, 2, 6, 1, Element::bf16, Numerics::f32}); }
TEST_P(ExpertKernels, bf16Numerics) { check({64, 96, 4, 2, 5, 2, Element::i8, Numerics::bf16}); }

TEST_P(ExpertKernels, fast) { check({128, 256, 4, 2, 40, 2, Element::i8, Numerics::fast}); }
TEST_P(ExpertKernels, fastOddShapes) {
  check({96, 344, 4, 1, 7, 2, Element::i8, Numerics::fast});
  check({90, 40, 3, 2, 4, 1, Element::i8, Numerics::fast}); // units of 2: rows stay float32
}
TEST_P(ExpertKernels, fastManyRows) {
  for (int64_t digits : {1, 2})
    check({64, 64, 2, 1, 430, 1, Element::i8, Numerics::fast, digits});
}
TEST_P(ExpertKernels, fastTwoDigits) {
  check({128, 256, 4, 2, 40, 2, Element::i8, Numerics::fast, 2});
}
TEST_P(ExpertKernels, fastBfloat16) {
  check({96, 256, 4, 2, 40, 1, Element::bf16, Numerics::fast});
}

// More pairs of one expert than one chunk of rows holds.
TEST_P(ExpertKernels, manyRows) { check({32, 64, 2, 1, 230, 1, Element::i8, Numerics::f32}); }

INSTANTIATE_TEST_SUITE_P(Levels, ExpertKernels, ::testing::ValuesIn(productLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
