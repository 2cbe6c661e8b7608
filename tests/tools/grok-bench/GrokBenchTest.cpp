// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-bench on the hand-made model of tests/runtime/plan.
#include "tests/runtime/plan/ToyPlan.h"
#include "tests/tools/commandline/ToolRun.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::runtime;
using namespace grok::tools;
using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

/// Without the launch that fails on one token: a benchmark feeds all tokens.
static grok::plan::PlanT makePlan() {
  grok::plan::PlanT plan = toy::makePlan();
  for (auto &bucket : plan.programs[0]->buckets)
    std::erase_if(bucket->launches, [](const auto &launch) {
      return launch->name == "layer0.scale" || launch->name == "layer1.scale";
    });
  return plan;
}

class GrokBench : public testing::Test {
protected:
  ToolResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), artifact.path);
    return runTool("grok-bench", arguments);
  }
  std::string path(const std::string &name) const { return folder.path + "/" + name; }

  toy::Artifact artifact{makePlan()};
  toy::TemporaryFolder folder;
};

TEST_F(GrokBench, WritesTheContractsKeys) {
  const ToolResult result = run({"--prompt-tokens=8", "--new-tokens=4", "--batch=1,3", "--depth=5",
                                 "--threads=2", "--json", path("x.json")});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "");
  std::ifstream file(path("x.json"));
  const json report = json::parse(file);
  EXPECT_THAT(report["machine"]["cpu"].get<std::string>(), testing::Not(""));
  EXPECT_EQ(report["notes"], json::array());
  ASSERT_THAT(report["runs"], SizeIs(2));
  for (const json &run : report["runs"]) {
    EXPECT_EQ(run["threads"], 2);
    for (const char *key :
         {"prefill_tokens_per_second", "decode_tokens_per_second", "weight_bytes_per_token",
          "read_limit_bytes_per_second", "share_of_read_limit", "load_seconds", "peak_rss_bytes"})
      EXPECT_GT(run[key].get<double>(), 0) << key;
    EXPECT_NEAR(run["share_of_read_limit"].get<double>() *
                    run["read_limit_bytes_per_second"].get<double>() /
                    (run["weight_bytes_per_token"].get<double>() *
                     run["decode_tokens_per_second"].get<double>()),
                1, 1e-9);
    EXPECT_LT(run["peak_rss_bytes"].get<double>(), 256 << 20)
        << "the buffer of the read limit does not count";
  }
  EXPECT_EQ(report["runs"][1]["batch"], 3);
  EXPECT_EQ(report["runs"][1]["depth"], 5);
}

TEST_F(GrokBench, ClipsToTheContextWithANote) {
  const ToolResult result =
      run({"--prompt-tokens=50", "--new-tokens=4", "--batch=2", "--depth=100"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("note: batch 2, depth 100: the context holds 64 tokens, measured depth 60 "
                        "with 4 prompt and 4 new tokens"));
}

TEST_F(GrokBench, LeavesOutWhatIsNotAsked) {
  const ToolResult result = run(
      {"--prompt-tokens=0", "--new-tokens=2", "--batch=1", "--depth=0", "--json", path("x.json")});
  EXPECT_EQ(result.status, 0) << result.err;
  std::ifstream file(path("x.json"));
  EXPECT_TRUE(json::parse(file)["runs"][0]["prefill_tokens_per_second"].is_null());
}

TEST_F(GrokBench, ExplainsSteps) {
  const ToolResult result = run({"--explain", "--prompt-tokens=8", "--new-tokens=4", "--batch=2",
                                 "--depth=5", "--json", path("x.json")});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("batch 2, depth 5: reading "));
  EXPECT_THAT(result.out, HasSubstr("a step of decode, "));
  EXPECT_THAT(result.out, HasSubstr("a step of prefill, "));
  EXPECT_THAT(result.out, HasSubstr("The largest gap is "));
  std::ifstream file(path("x.json"));
  const json explain = json::parse(file)["runs"][0]["explain"];
  for (const char *limit : {"read_bytes_per_second", "float_multiply_adds_per_second",
                            "integer_multiply_adds_per_second"})
    EXPECT_GT(explain["roof"][limit].get<double>(), 0) << limit;
  for (const char *part : {"decode", "prefill"}) {
    double sum = explain[part]["outside_milliseconds"].get<double>();
    for (const json &op : explain[part]["ops"]) {
      sum += op["milliseconds"].get<double>();
      EXPECT_GE(op["launches"].get<double>(), 1) << op["op"];
    }
    EXPECT_NEAR(sum / explain[part]["step_milliseconds"].get<double>(), 1, 1e-6) << part;
    EXPECT_NE(explain[part]["largest_gap"], "");
  }
}

TEST_F(GrokBench, ExplainsOnlyWhenAsked) {
  const ToolResult result = run(
      {"--prompt-tokens=0", "--new-tokens=2", "--batch=1", "--depth=0", "--json", path("x.json")});
  EXPECT_EQ(result.status, 0) << result.err;
  std::ifstream file(path("x.json"));
  EXPECT_FALSE(json::parse(file)["runs"][0].contains("explain"));
}

TEST_F(GrokBench, NotesMissingWeights) {
  grok::plan::PlanT plan = makePlan();
  plan.layouts[0]->file.clear();
  const toy::Artifact planOnly(plan);
  const ToolResult result = runTool("grok-bench", {planOnly.path, "--prompt-tokens=4",
                                                   "--new-tokens=0", "--batch=1", "--depth=0"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("note: the plan was compiled without weights"));
}

TEST_F(GrokBench, Errors) {
  expectError("grok-bench", runTool("grok-bench", {}), 2, "ARTIFACT is required");
  expectError("grok-bench", run({"--batch=0"}), 2, "--batch");
  expectError("grok-bench", run({"--batch=1,x"}), 2, "--batch");
  expectError("grok-bench", run({"--depth=-1"}), 2, "--depth");
  expectError("grok-bench", run({"--threads=0"}), 2, "--threads");
  expectError("grok-bench", run({"--prompt-tokens=0", "--new-tokens=0"}), 2, "nothing to measure");
  expectError("grok-bench", run({"--batch=65"}), 1, "65 is more than the 64 rows of a step");
  expectError("grok-bench", run({"--json", path("no/x.json")}), 1, "--json: ");
  expectError("grok-bench", runTool("grok-bench", {path("none")}), 1, "none/model.plan");
}

TEST_F(GrokBench, MeasuresTheMachine) {
  const ToolResult result = runTool("grok-bench", {"--machine", path("m.json"), "--threads=2"});
  ASSERT_EQ(result.status, 0) << result.err;
  std::ifstream file(path("m.json"));
  const json machine = json::parse(file);
  EXPECT_EQ(machine["shared_cores"], 2);
  for (const char *key : {"memory_bytes", "bandwidth_bytes_per_second",
                          "node_bandwidth_bytes_per_second", "launch_gap_microseconds"}) {
    EXPECT_GT(machine[key]["value"].get<double>(), 0) << key;
    EXPECT_EQ(machine[key]["source"], "measured by grok-bench") << key;
  }
  EXPECT_EQ(machine["all_reduce"][0]["ranks"], 2);
  expectError("grok-bench", runTool("grok-bench", {"--machine=x.json", artifact.path}), 2,
              "excludes");
  expectError("grok-bench", runTool("grok-bench", {}), 2, "ARTIFACT is required");
}
