// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The expert kernels over a part of the experts: every pair has the bits that
// it has among all of them, and sums run over the parts in order.
#include "compiler/kernels/GroupsLayout.h"
#include "tests/compiler/kernels/QuantizedReference.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

namespace {

struct SubsetCase {
  int64_t emb, ffn, experts, selected, rows;
  Element element;
  Numerics numerics;
  int64_t digits = 1;
};

// Some experts' matrices behind each other, and where each stands among them.
struct Subset {
  std::vector<int64_t> experts;
  Buffer slots, gate, gateScales, up, upScales, down, downScales;
};

} // namespace

class ExpertSubsets : public ::testing::TestWithParam<std::string> {
protected:
  void prepare(const SubsetCase &c);
  Subset subsetOf(std::vector<int64_t> experts) const;
  const LoadedKernels &kernelsFor(size_t experts);
  // Adds `subset` to out [rows][emb] and apart [rows][selected][emb].
  void run(const Subset &subset, bool isFirst, const Buffer &out, const Buffer &apart);
  std::vector<float> foldedByHand(const std::vector<Subset> &subsets, const Buffer &apart) const;
  void check(const SubsetCase &c);

  SubsetCase c;
  KernelSpec gateUp, down;
  TestExperts gate{{}, Buffer(0), Buffer(0)}, up{{}, Buffer(0), Buffer(0)},
      downward{{}, Buffer(0), Buffer(0)};
  Buffer x{0}, gates{0}, experts{0};
  std::map<size_t, std::unique_ptr<LoadedKernels>> kernels; // by experts of a subset
};

void ExpertSubsets::prepare(const SubsetCase &shape) {
  c = shape;
  std::mt19937 random = reproducible(57);
  gateUp.numerics = c.numerics;
  gateUp.maxRows = 64;
  gateUp.emb = c.emb, gateUp.ffn = c.ffn, gateUp.selected = c.selected;
  down = gateUp;
  gateUp.op = KernelOp::gateUp;
  gateUp.weight = WeightFormat::forContraction(c.element, c.emb, 1, c.numerics);
  down.op = KernelOp::downCombine;
  down.weight = WeightFormat::forContraction(c.element, c.ffn, 1, c.numerics);
  gateUp.digits = down.digits = c.digits;
  gate = randomExperts(random, c.experts, c.emb, c.ffn, gateUp.weight, c.numerics);
  up = randomExperts(random, c.experts, c.emb, c.ffn, gateUp.weight, c.numerics);
  downward = randomExperts(random, c.experts, c.ffn, c.emb, down.weight, c.numerics);
  x = randomRows(random, c.rows, c.emb, c.numerics == Numerics::bf16);
  gates = Buffer::ofWords(c.rows * c.selected);
  experts = Buffer::ofWords(c.rows * c.selected);
  for (int64_t row = 0; row < c.rows; ++row) {
    std::vector<int> order(c.experts);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (int64_t j = 0; j < c.selected; ++j) {
      experts.words()[row * c.selected + j] = order[j];
      gates.floats()[row * c.selected + j] = 0.1f + 0.001f * static_cast<float>(random() % 500);
    }
  }
}

static Buffer partsOf(const Buffer &all, int64_t experts, const std::vector<int64_t> &chosen) {
  const size_t size = all.size() / experts;
  Buffer parts(size * chosen.size());
  for (size_t i = 0; i < chosen.size(); ++i)
    std::memcpy(parts.byteData() + i * size, all.byteData() + chosen[i] * size, size);
  return parts;
}

Subset ExpertSubsets::subsetOf(std::vector<int64_t> chosen) const {
  auto parts = [&](const Buffer &all) { return partsOf(all, c.experts, chosen); };
  Subset subset{
      chosen,           Buffer::ofWords(c.experts), parts(gate.packed),     parts(gate.scales),
      parts(up.packed), parts(up.scales),           parts(downward.packed), parts(downward.scales)};
  std::fill_n(subset.slots.words(), c.experts, -1);
  for (size_t i = 0; i < chosen.size(); ++i)
    subset.slots.words()[chosen[i]] = static_cast<int32_t>(i);
  return subset;
}

const LoadedKernels &ExpertSubsets::kernelsFor(size_t count) {
  auto &made = kernels[count];
  if (made)
    return *made;
  KernelSpec map = gateUp, group = gateUp, first = down, later, apart, laterApart;
  map.op = KernelOp::mapExperts;
  map.experts = c.experts;
  map.digits = group.digits = 1;
  group.op = KernelOp::group;
  gateUp.experts = group.experts = first.experts = static_cast<int64_t>(count);
  later = apart = laterApart = first;
  later.accumulate = apart.separate = laterApart.accumulate = laterApart.separate = 1;
  std::vector<NamedKernelSpec> specs = {{"map", map},        {"group", group},
                                        {"gate_up", gateUp}, {"down", first},
                                        {"apart", apart},    {"apart_later", laterApart}};
  if (c.numerics != Numerics::bf16)
    specs.push_back({"down_later", later});
  made = std::make_unique<LoadedKernels>(specs, GetParam());
  return *made;
}

void ExpertSubsets::run(const Subset &subset, bool isFirst, const Buffer &out,
                        const Buffer &apart) {
  const LoadedKernels &loaded = kernelsFor(subset.experts.size());
  const GroupsLayout layout(static_cast<int64_t>(subset.experts.size()));
  const int64_t allPairs = c.rows * c.selected, tiles = (c.emb + 63) / 64;
  Step step = Step::ofRows(c.rows);
  Buffer local = Buffer::ofWords(allPairs);
  Buffer groups = Buffer::ofWords(layout.length(c.rows, c.selected));
  Buffer y = Buffer::ofWords(allPairs * paddedTo16(c.ffn));
  loaded.run("map", {experts.data(), subset.slots.data(), local.data()}, step, 0, c.rows);
  loaded.run("group", {local.data(), groups.data()}, step, 0, 1);
  auto inputOf = [&](const Buffer &rows, int64_t number, int64_t inputs, const KernelSpec &spec) {
    if (readsQuantizedRows(spec))
      return quantizedRows(rows.floats(), number, inputs, spec.weight.unit, spec.digits);
    Buffer plain(number * paddedTo16(inputs) * 4);
    std::memcpy(plain.data(), rows.data(), plain.size());
    return plain;
  };
  Buffer input = inputOf(x, c.rows, c.emb, gateUp);
  loaded.run("gate_up",
             {input.data(), subset.gate.data(), subset.gateScales.data(), subset.up.data(),
              subset.upScales.data(), groups.data(), y.data()},
             step, 0, groups.words()[layout.tileCount]);
  // Rows behind the subset's pairs hold nothing that down may read.
  const int64_t pairs = groups.words()[layout.pairCount];
  std::fill(y.floats() + pairs * paddedTo16(c.ffn), y.floats() + allPairs * paddedTo16(c.ffn),
            1e30f);
  Buffer downInput = inputOf(y, allPairs, c.ffn, down);
  auto runDown = [&](const std::string &symbol, const Buffer &to) {
    loaded.run(symbol,
               {downInput.data(), subset.down.data(), subset.downScales.data(), groups.data(),
                gates.data(), to.data()},
               step, 0, tiles);
  };
  runDown(isFirst ? "apart" : "apart_later", apart);
  if (isFirst || c.numerics != Numerics::bf16)
    runDown(isFirst ? "down" : "down_later", out);
  for (const Buffer *written :
       {&std::as_const(local), &std::as_const(groups), &std::as_const(y), &out, &apart})
    EXPECT_TRUE(written->isGuardIntact()) << written->size() << " bytes";
}

// The kernel's own operations: subset by subset, experts ascending.
std::vector<float> ExpertSubsets::foldedByHand(const std::vector<Subset> &subsets,
                                               const Buffer &apart) const {
  const int64_t stride = paddedTo16(c.emb);
  const bool hasFma = !GetParam().ends_with("v2");
  std::vector<float> sums(c.rows * stride, 0.0f);
  for (const Subset &subset : subsets)
    for (int64_t expert : subset.experts)
      for (int64_t pair = 0; pair < c.rows * c.selected; ++pair)
        for (int64_t e = 0; e < stride && experts.words()[pair] == expert; ++e) {
          float &sum = sums[pair / c.selected * stride + e];
          const float gate = gates.floats()[pair], value = apart.floats()[pair * stride + e];
          volatile float product = gate * value;
          sum = hasFma ? std::fma(gate, value, sum) : sum + product;
        }
  return sums;
}

void ExpertSubsets::check(const SubsetCase &shape) {
  prepare(shape);
  const int64_t stride = paddedTo16(c.emb), pairs = c.rows * c.selected;
  auto filled = [&](int64_t rows) { // what the first subset must overwrite
    Buffer buffer = Buffer::ofWords(rows * stride);
    std::fill_n(buffer.floats(), rows * stride, 7.0f);
    return buffer;
  };
  std::vector<int64_t> all(c.experts);
  std::iota(all.begin(), all.end(), 0);
  Buffer wholeOut = filled(c.rows), wholeApart = filled(pairs);
  run(subsetOf(all), true, wholeOut, wholeApart);

  std::vector<Subset> subsets;
  subsets.push_back(subsetOf({1, 3}));
  subsets.push_back(subsetOf({0, 2}));
  Buffer out = filled(c.rows), apart = filled(pairs);
  run(subsets[0], true, out, apart);
  for (int64_t pair = 0; pair < pairs; ++pair)
    for (int64_t e = 0; e < stride; ++e) {
      float expected = experts.words()[pair] % 2 ? wholeApart.floats()[pair * stride + e] : 0;
      ASSERT_EQ(apart.floats()[pair * stride + e], expected) << "pair " << pair;
    }
  if (c.numerics != Numerics::bf16)
    for (int64_t row = 0; row < c.rows; ++row)
      if (const int32_t *first = experts.words() + row * c.selected;
          std::none_of(first, first + c.selected, [](int32_t expert) { return expert % 2; }))
        ASSERT_EQ(out.floats()[row * stride], 0.0f) << "row " << row << " has no expert here";
  run(subsets[1], false, out, apart);
  EXPECT_TRUE(apart == wholeApart);
  if (c.numerics == Numerics::bf16)
    return; // no accumulate: the mode rounds whole sums
  std::vector<float> expected = foldedByHand(subsets, apart);
  EXPECT_EQ(0, std::memcmp(out.data(), expected.data(), out.size()));
}

TEST_P(ExpertSubsets, int8) { check({96, 256, 4, 2, 20, Element::i8, Numerics::f32}); }
TEST_P(ExpertSubsets, bf16Numerics) { check({64, 96, 4, 2, 9, Element::i8, Numerics::bf16}); }
TEST_P(ExpertSubsets, fast) { check({128, 256, 4, 2, 20, Element::i8, Numerics::fast}); }
TEST_P(ExpertSubsets, fastTwoDigits) {
  check({128, 256, 4, 2, 20, Element::i8, Numerics::fast, 2});
}
TEST_P(ExpertSubsets, oddShapes) { check({90, 40, 4, 3, 7, Element::i8, Numerics::fast}); }

TEST_P(ExpertSubsets, bf16NumericsDoesNotAccumulate) {
  prepare({64, 96, 4, 2, 9, Element::i8, Numerics::bf16});
  down.experts = 4;
  EXPECT_EQ(problemIn(down), std::nullopt);
  down.accumulate = 1;
  EXPECT_EQ(*problemIn(down),
            "down_combine kernel: bf16 numerics rounds whole sums only: no accumulate");
}

INSTANTIATE_TEST_SUITE_P(Levels, ExpertSubsets, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
