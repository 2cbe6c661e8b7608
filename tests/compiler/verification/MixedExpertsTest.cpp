// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Models whose experts are stored in different formats, compiled, run and
// compared with the reference interpreter launch by launch.
#include "compiler/pipeline/Compile.h"
#include "compiler/verification/CompiledProgram.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstdlib>
#include <filesystem>

using namespace grok;
using compiler::Numerics;

namespace {

struct Case {
  std::string name, set, form;
  Numerics numerics;
  std::vector<std::string> assigned;
  int64_t launches; // of gate_up in a step
};

class MixedExperts : public testing::TestWithParam<Case> {
protected:
  MixedExperts() {
    std::string pattern = testing::TempDir() + "/mixed-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~MixedExperts() override { std::filesystem::remove_all(folder); }

  compiler::CompileOptions optionsOf(const Case &c) const {
    const std::string inputs = GROKC_SOURCE_DIR "/tests/inputs/" + c.set;
    compiler::CompileOptions options;
    options.model = inputs;
    options.weightsFrom = inputs + "/" + c.form;
    options.output = folder + "/artifact";
    options.levels = {"x86-64-v2"};
    options.numerics = c.numerics;
    options.assigned = c.assigned;
    options.maxStepRows = 16;
    return options;
  }

  std::string folder;
};

/// Logits of these rows, fed to a fresh program `atOnce` rows a step.
std::vector<float> logitsOf(const std::string &artifact, size_t atOnce, int threads) {
  auto program = verification::CompiledProgram::load(artifact, "", threads, /*sequences=*/1);
  EXPECT_TRUE(program) << program.error();
  std::vector<verification::StepRow> rows;
  for (int32_t token : {5, 99, 3, 250, 17, 8, 8, 301, 42, 7, 190, 64})
    rows.push_back({token, 0});
  std::vector<float> logits;
  for (size_t first = 0; first < rows.size(); first += atOnce) {
    const size_t count = std::min(atOnce, rows.size() - first);
    auto launches = program->step(std::span(rows).subspan(first, count));
    EXPECT_TRUE(launches) << launches.error();
    const std::vector<float> &numbers = launches->back().written.front().numbers;
    logits.insert(logits.end(), numbers.begin(), numbers.end());
  }
  return logits;
}

} // namespace

// Bounds are those of verification::Bounds, derived for the deepest sum of the
// formats of a matrix.
TEST_P(MixedExperts, AgreesInEveryLaunchAndKeepsTheBitsOfARow) {
  compiler::CompileOptions options = optionsOf(GetParam());
  options.verify = true;
  auto compiled = compiler::compileModel(options, {});
  ASSERT_TRUE(compiled) << compiled.error();
  const verification::Report &report = *compiled->verification;
  EXPECT_TRUE(report.passed()) << textOf(report);
  int64_t gateUps = 0, maps = 0;
  for (const verification::OpSummary &op : report.ops) {
    gateUps += op.op == "gate_up" ? op.launches : 0;
    maps += op.op == "map_experts" ? op.launches : 0;
  }
  EXPECT_EQ(gateUps, report.steps * GetParam().launches);
  EXPECT_GT(maps, 0);
  // Subsets that have rows differ with the step, the sums of a row do not.
  const std::vector<float> together = logitsOf(options.output, 12, 2);
  ASSERT_FALSE(together.empty());
  EXPECT_EQ(logitsOf(options.output, 1, 1), together);
  EXPECT_EQ(logitsOf(options.output, 5, 2), together);
}

INSTANTIATE_TEST_SUITE_P(
    Sets, MixedExperts,
    testing::Values(
        // Subsets {0, 2, ..} and {1} of the first layer; the other layer is whole.
        Case{"fast", "a6x1", "int8", Numerics::fast, {"layer0.gate_up.expert1:int4g32"}, 3},
        // Experts that agree in gate and up, not in down: {0}, {1, 3, ..}, {2}.
        Case{"f32",
             "a6x1",
             "float",
             Numerics::f32,
             {"layer0.gate_up:int8", "layer0.gate_up.expert0:int4g32", "layer0.down:int4g32",
              "layer0.down.expert2:int8"},
             4},
        Case{"threeBits",
             "a6x1",
             "float",
             Numerics::fast,
             {"layer1.gate_up:int3g32", "layer1.gate_up.expert7:int4g32", "layer1.down:int4g64",
              "layer1.down.expert0:int3g32", "layer0.gate_up:int8", "layer0.down:int8"},
             4},
        // One choice of each row, rows with padding.
        Case{"padded", "b4x2", "int8", Numerics::fast, {"layer0.gate_up.expert1:int4g32"}, 4}),
    [](const auto &info) { return info.param.name; });
