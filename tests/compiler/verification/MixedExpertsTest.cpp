// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Models whose experts are stored in different formats, compiled, run and
// compared with the reference interpreter launch by launch.
#include "compiler/pipeline/Compile.h"

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

  std::string folder;
};

} // namespace

// Bounds are those of verification::Bounds, derived for the deepest sum of the
// formats of a matrix.
TEST_P(MixedExperts, AgreesInEveryLaunch) {
  const std::string inputs = GROKC_SOURCE_DIR "/tests/inputs/" + GetParam().set;
  compiler::CompileOptions options;
  options.model = inputs;
  options.weightsFrom = inputs + "/" + GetParam().form;
  options.output = folder + "/artifact";
  options.levels = {"x86-64-v2"};
  options.numerics = GetParam().numerics;
  options.assigned = GetParam().assigned;
  options.maxStepRows = 16;
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
