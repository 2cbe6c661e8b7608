// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-eval on the hand-made model of tests/runtime/plan.
#include "runtime/evaluation/Perplexity.h"
#include "tests/runtime/plan/ToyPlan.h"
#include "tests/tools/commandline/ToolRun.h"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::runtime;
using namespace grok::tools;
using nlohmann::json;
using testing::HasSubstr;

// 1 space (the dummy prefix) and 16 letters; the toy model knows a to e best.
static constexpr std::string_view text = "abcdeedcbaabcdec";

class GrokEval : public testing::Test {
protected:
  GrokEval() {
    grok::plan::PlanT plan = toy::makePlan();
    const std::string tokenizer = makeTinyTokenizer();
    plan.tokenizer.assign(tokenizer.begin(), tokenizer.end());
    artifact = std::make_unique<toy::Artifact>(plan);
    write("text", std::string(text));
  }
  std::string write(const std::string &name, const std::string &content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  std::string path(const std::string &name) const { return folder.path + "/" + name; }
  ToolResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), artifact->path);
    return runTool("grok-eval", arguments);
  }

  /// The protocol, by the formulas of the toy model.
  static double expectedNll(size_t window, size_t windows, int factor = 2) {
    std::vector<int32_t> ids = {5};
    for (char letter : text)
      ids.push_back(letter - 'a');
    double sum = 0;
    for (size_t w = 0; w < windows; ++w)
      for (size_t i = 1; i <= window; ++i)
        sum += negativeLogLikelihood(
            toy::expectedLogits(std::span(ids).subspan(w * window, i), factor),
            ids[w * window + i]);
    return sum / static_cast<double>(window * windows);
  }

  std::unique_ptr<toy::Artifact> artifact;
  toy::TemporaryFolder folder;
};

TEST_F(GrokEval, FollowsTheProtocol) {
  const ToolResult result = run({"--text", path("text"), "--window=4", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const json report = json::parse(result.out);
  EXPECT_EQ(report["tokens"], 16);
  EXPECT_EQ(report["windows"], 4);
  EXPECT_EQ(report["bytes"], 16) << "every target is one letter";
  const double nll = expectedNll(4, 4);
  EXPECT_NEAR(report["mean_nll"].get<double>(), nll, 1e-12 * nll);
  EXPECT_TRUE(report.contains("perplexity"));
  EXPECT_NEAR(report["bits_per_byte"].get<double>(), nll / std::log(2.0), 1e-9 * nll);
}

TEST_F(GrokEval, DropsTheRestThatFillsNoWindow) {
  const json report =
      json::parse(run({"--text", path("text"), "--window=5", "--threads=2", "--json"}).out);
  EXPECT_EQ(report["tokens"], 15);
  EXPECT_NEAR(report["mean_nll"].get<double>() / expectedNll(5, 3), 1, 1e-12);
}

TEST_F(GrokEval, PrintsLinesWithoutJson) {
  const std::string out = run({"--text", path("text"), "--window=4"}).out;
  EXPECT_THAT(out, HasSubstr("tokens         16 (4 windows of 4)\nperplexity     "));
}

// The other model is built with another factor; the figures are those of the
// library, which has its own test.
TEST_F(GrokEval, ComparesWithAnotherModel) {
  grok::plan::PlanT plan = toy::makePlan(3);
  const std::string tokenizer = makeTinyTokenizer();
  plan.tokenizer.assign(tokenizer.begin(), tokenizer.end());
  const toy::Artifact other(plan);
  const ToolResult result =
      run({"--text", path("text"), "--window=4", "--against", other.path, "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const json report = json::parse(result.out);
  const double nll = expectedNll(4, 4), otherNll = expectedNll(4, 4, 3);
  EXPECT_NEAR(report["mean_nll"].get<double>(), nll, 1e-12 * nll);
  EXPECT_NEAR(report["nll_difference"].get<double>(), nll - otherNll, 1e-12 * otherNll);
  EXPECT_GT(report["nll_standard_error"].get<double>(), 0);
  EXPECT_GE(report["kl_p99"].get<double>(), 0);
  EXPECT_GE(report["kl_mean"].get<double>(), 0);
  EXPECT_LE(report["top1_agreement"].get<double>(), 1);
}

TEST_F(GrokEval, FindsNoDifferenceToItself) {
  const std::vector<std::string> arguments = {"--text", path("text"), "--window=4", "--against",
                                              artifact->path};
  const ToolResult result = run(arguments);
  EXPECT_THAT(result.out, HasSubstr("tokens         16 (4 windows of 4)\n"));
  EXPECT_THAT(result.out, HasSubstr("against        " + artifact->path +
                                    "\nnll_difference +0.000000, standard error 0.000000\n"
                                    "kl_mean        0.000000\nkl_p99         0.000000\n"
                                    "top1_agreement 1.0000\n"));
}

TEST_F(GrokEval, RefusesAModelOfOtherTokens) {
  const toy::Artifact other; // with the tokenizer that makePlan gives it
  expectError("grok-eval", run({"--text", path("text"), "--window=4", "--against", other.path}), 1,
              "has another tokenizer than");
  expectError("grok-eval", run({"--text", path("text"), "--window=4", "--against", path("none")}),
              1, "none");
}

TEST_F(GrokEval, Errors) {
  expectError("grok-eval", runTool("grok-eval", {}), 2, "is required");
  expectError("grok-eval", run({}), 2, "--text is required");
  expectError("grok-eval", run({"--text", path("text"), "--window=0"}), 2, "--window");
  expectError("grok-eval", run({"--text", path("text"), "--window=x"}), 2, "--window");
  expectError("grok-eval", run({"--text", path("text"), "--frob"}), 2, "--frob");
  expectError("grok-eval", run({"--text", path("text")}), 1, "more than the context of 64");
  expectError("grok-eval", run({"--text", path("none"), "--window=4"}), 1, "none");
  expectError("grok-eval", run({"--text", write("short", "abc"), "--window=4"}), 1,
              "has 4 tokens and a window takes 5");
  expectError("grok-eval", run({"--text", write("empty", ""), "--window=4"}), 1, "has 0 tokens");
  expectError("grok-eval", run({"--text", write("bad", "ab\xffgh"), "--window=4"}), 1,
              "byte 2 is not UTF-8");
  grok::plan::PlanT plan = toy::makePlan();
  plan.tokenizer.clear();
  const toy::Artifact mute(plan);
  expectError("grok-eval", runTool("grok-eval", {mute.path, "--text", path("text"), "--window=4"}),
              1, "the plan holds none");
}
