// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Statistics of a compiled model against sums over what its launches wrote.
#include "compiler/calibration/Collection.h"

#include "compiler/pipeline/Compile.h"
#include "compiler/verification/CompiledProgram.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

using namespace grok;
using namespace grok::calibration;
using Kind = InputKey::Kind;
using verification::RecordedLaunch;

namespace {
/// A small model with 4 experts, compiled once for all tests.
class Collection : public testing::Test {
protected:
  static void SetUpTestSuite() {
    std::string pattern = testing::TempDir() + "/calibration-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    compiler::CompileOptions options;
    options.model = GROKC_SOURCE_DIR "/tests/inputs/b4x2";
    options.weightsFrom = options.model + "/int8";
    options.output = folder + "/artifact";
    options.levels = {"x86-64-v2"};
    options.numerics = compiler::Numerics::f32;
    options.maxStepRows = 16;
    auto compiled = compiler::compileModel(options, {});
    ASSERT_TRUE(compiled) << compiled.error();
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder); }

  static Statistics collect(const TextSlice &slice, const CollectionOptions &options,
                            int threads = 1) {
    auto run = TextRun::load(folder + "/artifact", threads);
    EXPECT_TRUE(run) << run.error();
    auto collected = collectStatistics(*run, slice, options);
    EXPECT_TRUE(collected) << collected.error();
    return collected ? std::move(*collected) : Statistics{};
  }

  static std::vector<int32_t> text() {
    std::vector<int32_t> ids(29);
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<int32_t>(1 + i * 17 % 60);
    ids[5] = 0; // a pad token
    return ids;
  }

  static std::string folder;
};
std::string Collection::folder;

/// What a launch wrote last, as rows of `width` numbers.
struct WrittenRows {
  WrittenRows(const std::vector<RecordedLaunch> &launches, const std::string &name, size_t rows) {
    for (const RecordedLaunch &launch : launches)
      if (launch.name == name)
        numbers = launch.written.back().numbers, integers = launch.written.back().integers;
    width = std::max(numbers.size(), integers.size()) / rows;
  }
  std::vector<float> numbers;
  std::vector<int32_t> integers;
  size_t width = 0;
};
} // namespace

/// Adds weight * x x^T.
static void addOuter(std::vector<double> &sums, const float *x, size_t width, double weight) {
  sums.resize(width * width);
  for (size_t i = 0; i < width; ++i)
    for (size_t j = 0; j < width; ++j)
      sums[i * width + j] += weight * static_cast<double>(x[i]) * static_cast<double>(x[j]);
}

/// The factor of an input and their product are rounded to float32 before they are
/// squared.
static constexpr double rounding = 8 * 0x1p-24;

static void expectMean(const Statistics &statistics, const InputKey &key,
                       const std::vector<double> &sums, double weight) {
  const Moments *moments = statistics.find(key);
  ASSERT_NE(moments, nullptr) << nameOf(key);
  ASSERT_EQ(moments->blocks(), 1);
  const int64_t n = moments->rows();
  ASSERT_EQ(sums.size(), static_cast<size_t>(n * n));
  const std::vector<double> mean = moments->mean(0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      ASSERT_NEAR(mean[i * n + j], sums[i * n + j] / weight,
                  rounding * std::sqrt(sums[i * n + i] * sums[j * n + j]) / weight)
          << nameOf(key) << ": " << i << ", " << j;
}

// One window of 14, one step: the first norm of the step is the input of layer
// 0's attention, residual_norm that of its experts.
TEST_F(Collection, equalsDirectSums) {
  const size_t rows = 14;
  const std::vector<int32_t> ids = text();
  const Statistics statistics = collect({ids, static_cast<int64_t>(rows), 0, 1}, {});
  EXPECT_EQ(statistics.tokens, 13);

  auto program = verification::CompiledProgram::load(folder + "/artifact", "", 1, 1);
  ASSERT_TRUE(program) << program.error();
  std::vector<verification::StepRow> fed;
  fed.reserve(rows);
  for (size_t i = 0; i < rows; ++i)
    fed.push_back({ids[i], 0});
  auto launches = program->step(fed);
  ASSERT_TRUE(launches) << launches.error();
  const WrittenRows normed(*launches, "layer0.rms_norm", rows);
  const WrittenRows attended(*launches, "layer0.attention", rows);
  const WrittenRows routed(*launches, "layer0.residual_norm", rows);
  const WrittenRows experts(*launches, "layer0.route", rows);
  const WrittenRows products(*launches, "layer0.gate_up", rows);
  const WrittenRows sums(*launches, "layer0.down_combine", rows);
  std::vector<float> gates;
  for (const RecordedLaunch &launch : *launches)
    if (launch.name == "layer0.route")
      gates = launch.written.front().numbers;

  std::vector<double> attention, output, all;
  for (size_t row = 0; row < rows; ++row) {
    if (ids[row] == 0)
      continue;
    addOuter(attention, &normed.numbers[row * normed.width], normed.width, 1);
    addOuter(output, &attended.numbers[row * attended.width], attended.width, 1);
    addOuter(all, &routed.numbers[row * routed.width], routed.width, 1);
  }
  expectMean(statistics, {0, Kind::attention, -1}, attention, 13);
  expectMean(statistics, {0, Kind::output, -1}, output, 13);
  expectMean(statistics, {0, Kind::expert, -1}, all, 13);

  // gate_up writes a row for each pair, those of expert 0 first.
  const size_t selected = experts.width, ffn = products.width / selected;
  size_t position = 0, expertsSeen = 0;
  for (int32_t expert = 0; expert < 4; ++expert) {
    std::vector<double> inputs, outputs;
    double weight = 0;
    for (size_t pair = 0; pair < rows * selected; ++pair) {
      if (experts.integers[pair] != expert)
        continue;
      const float *product = &products.numbers[ffn * position++];
      if (ids[pair / selected] == 0)
        continue;
      const size_t token = pair / selected;
      std::vector<double> own; // squares of the experts' sum along its diagonal
      addOuter(own, &sums.numbers[token * sums.width], sums.width, 1);
      double size = 0;
      for (size_t i = 0; i < sums.width; ++i)
        size += own[i * sums.width + i] / static_cast<double>(sums.width);
      const double gate = gates[pair], square = gate * gate / size;
      addOuter(inputs, &routed.numbers[token * routed.width], routed.width, square);
      addOuter(outputs, product, ffn, square);
      weight += square;
    }
    if (weight == 0)
      continue;
    ++expertsSeen;
    expectMean(statistics, {0, Kind::expert, expert}, inputs, weight);
    expectMean(statistics, {0, Kind::down, expert}, outputs, weight);
  }
  EXPECT_GT(expertsSeen, 1u);
}

TEST_F(Collection, hasTheSameBitsOnAnyNumberOfThreads) {
  const std::vector<int32_t> ids = text();
  CollectionOptions one, three;
  three.threads = 3;
  EXPECT_EQ(collect({ids, 7, 0, 4}, one, 1).digest(), collect({ids, 7, 0, 4}, three, 3).digest());
}

TEST_F(Collection, countsTheWindowsOfItsSlice) {
  const std::vector<int32_t> ids = text();
  std::vector<int64_t> progress;
  CollectionOptions options;
  options.showProgress = [&](int64_t done) { progress.push_back(done); };
  EXPECT_EQ(collect({ids, 7, 1, 3}, options).tokens, 21);
  EXPECT_FALSE(progress.empty());
}

TEST_F(Collection, keepsOnlyWhatIsWanted) {
  const std::vector<int32_t> ids = text();
  CollectionOptions options;
  options.isWanted = [](const InputKey &key) { return key.kind == Kind::down && key.layer == 1; };
  options.largestBlock = 1;
  const Statistics statistics = collect({ids, 7, 0, 4}, options);
  ASSERT_FALSE(statistics.inputs.empty());
  for (const auto &[key, moments] : statistics.inputs) {
    EXPECT_TRUE(key.kind == Kind::down && key.layer == 1) << nameOf(key);
    EXPECT_EQ(moments.blockRows(), 1);
  }
}

static checkpoint::TensorInfo tensorNamed(const std::string &name, std::vector<int64_t> shape) {
  checkpoint::TensorInfo tensor;
  tensor.name = "transformer/decoder_layer_0/" + name;
  tensor.shape = std::move(shape);
  return tensor;
}

// gate and up share an input, which is kept once for all tokens and once for each
// expert.
TEST(CollectionSize, countsEveryInputOnce) {
  const checkpoint::TensorList tensors = {tensorNamed("moe/linear/w", {2, 64, 96}),
                                          tensorNamed("moe/linear_v/w", {2, 64, 96}),
                                          tensorNamed("moe/linear_1/w", {2, 96, 64})};
  EXPECT_EQ(statisticsBytes(tensors, 4096), 8 * (3 * 64 * 64 + 2 * 96 * 96));
  EXPECT_EQ(statisticsBytes(tensors, 1), 8 * (3 * 64 + 2 * 96));
}

TEST(CollectionSize, blocksShrinkUntilTheyFit) {
  const checkpoint::TensorList tensors = {tensorNamed("moe/linear_1/w", {1, 8192, 64})};
  EXPECT_EQ(chooseLargestBlock(tensors, int64_t(8) * 2 * 4096 * 4096), 4096);
  EXPECT_EQ(chooseLargestBlock(tensors, int64_t(8) * 2 * 4096 * 4096 - 1), 2048);
  EXPECT_EQ(chooseLargestBlock(tensors, int64_t(8) * 8192), 1);
}
