// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-plan on the hand-made model of tests/runtime/plan.
#include "runtime/plan/Sha256.h"
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
using testing::StartsWith;

class GrokPlan : public testing::Test {
protected:
  toy::Artifact artifact;
  toy::TemporaryFolder folder;
};

TEST_F(GrokPlan, ShowsEveryPartOnce) {
  const ToolResult result = runTool("grok-plan", {"show", artifact.path});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char *part :
       {"toy: 2 layers, width 16", "numerics      f32", "context       64 positions",
        "weights cpu: model-cpu-00000-of-00001.weights.safetensors", "key/value page: 16 positions",
        "steps of up to 64 rows: 10 launches", "each of the layers 0 to 1", "groups[1] <= 64",
        "kernels: 6", "x86-64-v2", "GPU code: 1 chips", "compute capability 8.0 or newer"})
    EXPECT_THAT(result.out, HasSubstr(part));
  EXPECT_THAT(result.out, HasSubstr(hex(sha256(toy::bodyOf(toy::makePlan())))));
}

TEST_F(GrokPlan, ShowsJson) {
  const ToolResult result = runTool("grok-plan", {"show", "--json", artifact.path});
  ASSERT_EQ(result.status, 0) << result.err;
  const json shown = json::parse(result.out);
  EXPECT_EQ(shown["model"]["vocab_size"], 20);
  EXPECT_EQ(shown["layouts"][0]["weights"][0]["bytes"], 1280);
  EXPECT_THAT(shown["programs"][0]["buckets"], SizeIs(2));
  const json &bucket = shown["programs"][0]["buckets"][1];
  EXPECT_EQ(bucket["launches"], 10);
  ASSERT_THAT(bucket["groups"], SizeIs(3)) << "before, both layers, after";
  EXPECT_EQ(bucket["groups"][1]["last_layer"], 1);
  EXPECT_EQ(bucket["groups"][1]["launches"][1]["writes"], "o");
  EXPECT_THAT(shown["kernels"], SizeIs(6));
  EXPECT_EQ(shown["code"][1]["features"], json({"sse4.2", "telepathy"}));
  const json &gpu = shown["gpu_code"][0];
  EXPECT_EQ(gpu["chip"], "sm_80");
  EXPECT_EQ(gpu["kernels"][5]["symbol"], "toy_unembed");
  EXPECT_EQ(gpu["kernels"][5]["threads"], 32);
  ASSERT_THAT(gpu["services"], SizeIs(4));
  EXPECT_EQ(gpu["services"][0]["op"], "read");
  EXPECT_EQ(gpu["services"][0]["symbol"], "toy_read");
  for (size_t service : {0, 1, 2, 3}) {
    EXPECT_EQ(gpu["services"][service]["cooperative"], service == 1);
    EXPECT_EQ(gpu["services"][service]["awaits_peers"], service == 2);
  }
}

TEST_F(GrokPlan, ExtractsCodeOfEveryLevel) {
  const std::string target = folder.path + "/new/folder";
  const ToolResult result = runTool("grok-plan", {"extract", artifact.path, target});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out,
              StartsWith(target + "/cpu-x86-64-v2.so\n" + target + "/cpu-future.so\n" + target +
                         "/sm_80-emulation.so\n" + target + "/sm_80-toy_embed.ptx\n"));
  for (const char *symbol : {"toy_unembed", "toy_read"}) {
    std::ifstream ptx(target + "/sm_80-" + symbol + ".ptx");
    const std::string text{std::istreambuf_iterator<char>(ptx), {}};
    EXPECT_THAT(text, HasSubstr(std::string(".entry ") + symbol));
  }
  std::ifstream file(target + "/cpu-x86-64-v2.so", std::ios::binary);
  const std::string image{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(std::ranges::equal(image, toy::makePlan().code[0]->image,
                                 [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }));
}

TEST_F(GrokPlan, NamesOfLevelsCannotLeaveTheFolder) {
  grok::plan::PlanT plan = toy::makePlan();
  plan.code[0]->target = ".x";
  plan.code[0]->level = "../../evil";
  const toy::Artifact evil(plan);
  const ToolResult result = runTool("grok-plan", {"extract", evil.path, folder.path});
  if (result.status == 0) // or the plan's check has refused the name
    EXPECT_TRUE(std::filesystem::exists(folder.path + "/_.x-.._.._evil.so")) << result.out;
}

TEST_F(GrokPlan, DiffsArtifacts) {
  grok::plan::PlanT plan = toy::makePlan();
  plan.max_context *= 2;
  const toy::Artifact other(plan);
  const ToolResult same = runTool("grok-plan", {"diff", artifact.path, artifact.path});
  EXPECT_EQ(same.out, "No difference.\n") << same.err;
  const ToolResult result = runTool("grok-plan", {"diff", artifact.path, other.path});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("1 difference."));
  EXPECT_THAT(result.out, HasSubstr("context  64 positions  128 positions  +100.0 %"));
  const ToolResult asJson = runTool("grok-plan", {"diff", "--json", artifact.path, other.path});
  const json list = json::parse(asJson.out);
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0]["name"], "context");
  EXPECT_EQ(list[0]["change"], 1.0);
  expectError("grok-plan", runTool("grok-plan", {"diff", artifact.path, folder.path + "/x"}), 1,
              "one is an artifact and one a search");
}

TEST_F(GrokPlan, Errors) {
  expectError("grok-plan", runTool("grok-plan", {}), 2, "subcommand is required");
  expectError("grok-plan", runTool("grok-plan", {"show"}), 2, "ARTIFACT is required");
  expectError("grok-plan", runTool("grok-plan", {"show", artifact.path, "--frob"}), 2, "--frob");
  expectError("grok-plan", runTool("grok-plan", {"extract", artifact.path}), 2, "DIR is required");
  expectError("grok-plan", runTool("grok-plan", {"frob"}), 2, "subcommand is required");
  expectError("grok-plan", runTool("grok-plan", {"show", folder.path}), 1, "model.plan");
  expectError("grok-plan", runTool("grok-plan", {"extract", artifact.path, "/dev/null"}), 1,
              "/dev/null");
  toy::writeFile(folder.path + "/model.plan", std::as_bytes(std::span("no plan at all")));
  expectError("grok-plan", runTool("grok-plan", {"show", folder.path}), 1, "not a plan file");
}

TEST(GrokPlanHelp, ShowsWhatWorks) {
  const ToolResult help = runTool("grok-plan", {"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("show"));
  EXPECT_THAT(help.out, HasSubstr("extract"));
}
