// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bounds hold for arithmetic in the order that kernels keep, and are not so wide
// that a wrong result could hide in them.
#include "compiler/verification/Bounds.h"

#include "dialects/grok/GrokDialect.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace grok;
using namespace grok::verification;
using interpreter::CodeForm;
using interpreter::Matrix;
using interpreter::Rounding;
using interpreter::Tensor;

namespace {

class Random {
public:
  std::vector<float> normal(int64_t count) {
    std::vector<float> values(count);
    for (float &value : values)
      value = distribution(engine);
    return values;
  }
  Tensor tensor(std::vector<int64_t> shape) {
    Tensor result(std::move(shape));
    result.values = normal(int64_t(result.values.size()));
    return result;
  }

private:
  std::mt19937 engine{7}; // NOLINT(bugprone-random-generator-seed): the same numbers every time
  std::normal_distribution<float> distribution;
};

Matrix matrixOf(const std::vector<float> &values, std::vector<int64_t> shape) {
  Matrix matrix;
  matrix.shape = std::move(shape);
  matrix.bytes.weight = std::as_bytes(std::span(values));
  return matrix;
}

double rmsOf(const std::vector<float> &values) {
  double squares = 0;
  for (float value : values)
    squares += double(value) * value;
  return std::sqrt(squares / double(values.size()));
}

double largest(const Bound &bound) { return *std::max_element(bound.begin(), bound.end()); }

void expectWithin(const Tensor &reference, const std::vector<float> &computed, const Bound &bound) {
  for (size_t i = 0; i < computed.size(); ++i)
    EXPECT_LE(std::abs(double(computed[i]) - reference.values[i]), bound[i]) << i;
}

} // namespace

TEST(SumDepth, FollowsTheOrderOfTheKernels) {
  mlir::MLIRContext context;
  context.loadDialect<GrokDialect>();
  mlir::Builder builder(&context);
  auto type = mlir::RankedTensorType::get({6144, 16}, builder.getF32Type());
  // docs/numerics.md: S 16, unit 128; three roundings of a product and its factors.
  EXPECT_EQ(sumDepth(type, 6144), 128 + 3 + 4 + 3);
  auto format = FormatAttr::get(8, 4096, builder.getBF16Type());
  auto down = mlir::RankedTensorType::get({8, 32768, 16}, builder.getI8Type(), format);
  EXPECT_EQ(sumDepth(down, 32768), 512 + 4 + 4 + 3); // S 16, unit 512
  // Four bits: a chain ends with the multiplier that holds for it.
  auto four = FormatAttr::get(&context, 4, 6144, builder.getBF16Type(), /*multiplierRows=*/32,
                              /*zeroPoint=*/8, mlir::StringAttr(), /*alongLast=*/false);
  auto gate = mlir::RankedTensorType::get({6144, 16}, builder.getIntegerType(4), four);
  EXPECT_EQ(sumDepth(gate, 6144), 32 + 12 + 4 + 3); // S 16, unit 32
}

TEST(AddRounding, AllowsOneSpacingWhereTheValueIsUncertain) {
  Tensor result({1, 3});
  result.values = {1, 1, 255};
  Bound bound = {0, 1e-6f, 1e-6f};
  addRounding(bound, result, Rounding::bf16);
  EXPECT_EQ(bound[0], 0);
  EXPECT_NEAR(bound[1], 0x1p-7, 1e-5); // from 1 to the next bf16 number
  EXPECT_NEAR(bound[2], 1, 1e-5);      // between 128 and 256
}

TEST(BoundLinear, HoldsForOneLongChain) {
  constexpr int64_t inputs = 512, columns = 8;
  Random random;
  Tensor x = random.tensor({4, inputs});
  std::vector<float> weights = random.normal(inputs * columns);
  Matrix matrix = matrixOf(weights, {inputs, columns});
  Tensor reference = linear(x, matrix, Rounding::f32, Rounding::f32);
  Bound bound = boundLinear(x, {}, matrix, Rounding::f32, /*depth=*/inputs);
  std::vector<float> computed;
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      float sum = 0;
      for (int64_t k = 0; k < inputs; ++k)
        sum += x.row(row)[k] * weights[k * columns + column];
      computed.push_back(sum);
    }
  expectWithin(reference, computed, bound);
  EXPECT_LT(largest(bound), 1e-3 * rmsOf(reference.values));
}

TEST(BoundLinear, CarriesTheErrorOfItsInput) {
  Tensor x({1, 2});
  x.values = {1, 2};
  std::vector<float> weights = {3, -4};
  Bound bound = boundLinear(x, {0.5f, 0.25f}, matrixOf(weights, {2, 1}), Rounding::f32, 2);
  EXPECT_NEAR(bound[0], 0.5 * 3 + 0.25 * 4, 1e-4);
}

TEST(BoundNorm, HoldsInFloat32AndIsAFewRoundings) {
  Random random;
  Tensor x = random.tensor({3, 96});
  std::vector<float> scales = random.normal(96);
  Matrix scale = matrixOf(scales, {96});
  Tensor reference = rmsNorm(x, scale, 1e-5, Rounding::f32);
  Bound bound = boundNorm(x, {}, scale, 1e-5, reference);
  std::vector<float> computed;
  for (int64_t row = 0; row < 3; ++row) {
    std::vector<float> lanes(64); // four chains of 16 lanes, then a tree
    for (int64_t i = 0; i < 96; ++i)
      lanes[i % 64] += x.row(row)[i] * x.row(row)[i];
    for (size_t count = 32; count > 0; count /= 2)
      for (size_t i = 0; i < count; ++i)
        lanes[i] += lanes[i + count];
    float inverse = 1.0f / std::sqrt(lanes[0] / 96.0f + 1e-5f);
    for (int64_t i = 0; i < 96; ++i)
      computed.push_back(scales[i] * (x.row(row)[i] * inverse));
  }
  expectWithin(reference, computed, bound);
  EXPECT_LT(largest(bound), 2e-6 * 3 * rmsOf(reference.values));
}

TEST(BoundGeluGate, HoldsForAnErrorInTheGate) {
  Random random;
  Tensor gate = random.tensor({1, 1, 256}), up = random.tensor({1, 1, 256});
  Tensor moved = gate;
  for (float &value : moved.values)
    value += 1e-3f;
  Tensor reference = geluGate(gate, up);
  Bound bound = boundGeluGate(gate, Bound(256, 1e-3f), up, {}, reference);
  expectWithin(reference, geluGate(moved, up).values, bound);
  EXPECT_LT(largest(bound), 1e-2);
}

namespace {

/// Three positions of one kv head, the middle one a pad.
struct SmallCache {
  SmallCache() {
    Random random;
    sequence.keys = random.normal(24);
    sequence.values = random.normal(24);
    sequence.keep = {true, false, true};
    query = random.tensor({1, 16});
    step = {{2}, {0}, {0}};
  }

  Tensor attend(const interpreter::SequenceCache &from) const {
    interpreter::Cache cache = interpreter::Cache::empty(1);
    cache.layers[0] =
        std::make_shared<interpreter::Cache::Layer>(interpreter::Cache::Layer{{0, from}});
    return *attention(query, cache, step, parameters, Rounding::f32);
  }

  interpreter::SequenceCache sequence;
  Tensor query;
  interpreter::Step step;
  interpreter::AttentionParameters parameters{0, 1, 8, 0.25, 30};
};

} // namespace

TEST(BoundQuantized, HoldsForAnErrorInTheInput) {
  constexpr int64_t group = 16, groups = 500;
  Random random;
  Tensor x = random.tensor({groups, group});
  for (CodeForm form : {CodeForm::int8, CodeForm::e4m3})
    for (float error : {1e-6f, 1e-3f, 3.0f}) {
      Tensor moved = x;
      std::vector<float> directions = random.normal(groups * group);
      for (size_t i = 0; i < moved.values.size(); ++i)
        moved.values[i] += std::clamp(directions[i], -1.0f, 1.0f) * error;
      Bound inputs(x.values.size(), error * (1 + 0x1p-20f));
      expectWithin(quantize(x, group, form), quantize(moved, group, form).values,
                   boundQuantized(x, inputs, group, form));
    }
}

// A code is uncertain only beside the middle of two; else the scale alone moves.
TEST(BoundQuantized, IsNarrowWhereTheCodeIsCertain) {
  Tensor x({1, 4});
  x.values = {127, 10.25f, 10.5f, 0};
  Bound bound = boundQuantized(x, Bound(4, 0.01f), 4);
  EXPECT_NEAR(bound[1], 10 * 0.01 / 127, 1e-5);
  EXPECT_NEAR(bound[2], 1, 0.01);
  EXPECT_NEAR(bound[3], 0, 1e-5);
}

TEST(BoundQuantized, IsNarrowWhereTheCodeOfE4m3IsCertain) {
  Tensor x({1, 4});
  x.values = {448, 20.5f, 21, 0.01f};
  Bound bound = boundQuantized(x, {0.01f, 0.01f, 0.01f, 1e-5f}, 4, CodeForm::e4m3);
  EXPECT_NEAR(bound[1], 20 * 0.01 / 448, 1e-4);
  EXPECT_NEAR(bound[2], 2, 0.01); // between 20 and 22
  EXPECT_NEAR(bound[3], 0, 1e-4);
}

TEST(BoundAttention, HoldsForErrorsInTheCache) {
  constexpr float error = 1e-4f;
  SmallCache small;
  interpreter::SequenceCache moved = small.sequence;
  for (size_t i = 0; i < moved.keys.size(); ++i) {
    moved.keys[i] += i % 2 ? error : -error;
    moved.values[i] += i % 3 ? error : -error;
  }
  SequenceBound bounds{Bound(24, error), Bound(24, error)};
  Bound bound = boundAttention(small.query, {{0, small.sequence}}, {{0, bounds}}, small.step,
                               small.parameters, Rounding::f32);
  Tensor reference = small.attend(small.sequence);
  expectWithin(reference, small.attend(moved).values, bound);
  EXPECT_LT(largest(bound), 20 * error * rmsOf(reference.values));
}

TEST(BoundAttention, IsAFewRoundingsOfAnExactCache) {
  SmallCache small;
  SequenceBound exact{Bound(24, 0), Bound(24, 0)};
  Bound bound = boundAttention(small.query, {{0, small.sequence}}, {{0, exact}}, small.step,
                               small.parameters, Rounding::f32);
  EXPECT_GT(largest(bound), 0);
  EXPECT_LT(largest(bound), 2e-4);
}

TEST(BoundRoute, GivesTheProbabilitiesOfAllExperts) {
  Random random;
  Tensor x = random.tensor({2, 96});
  std::vector<float> weights = random.normal(384);
  Matrix router = matrixOf(weights, {96, 4});
  interpreter::Routing routing = route(x, router, 4);
  RouterBound bound = boundRoute(x, router);
  for (int64_t row = 0; row < 2; ++row) {
    EXPECT_LT(bound.relative[row], 1e-3);
    for (int64_t choice = 0; choice < 4; ++choice) {
      double gate = routing.gates.row(row)[choice];
      int32_t expert = routing.experts.values[row * 4 + choice];
      EXPECT_NEAR(bound.probabilities[row * 4 + expert], gate, gate * bound.relative[row]);
    }
  }
}
