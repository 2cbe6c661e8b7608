// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan fit` as its users run it.
#include "tests/runtime/plan/ToyPlan.h"
#include "tests/tools/commandline/ToolRun.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::runtime;
using namespace grok::tools;
using nlohmann::json;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

namespace {

json parsed(const std::vector<std::string> &arguments) {
  const ToolResult result = runTool("grok-plan", arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  return json::parse(result.out, nullptr, false);
}

std::vector<std::string> keysOf(const json &object) {
  std::vector<std::string> keys;
  for (const auto &[key, value] : object.items())
    keys.push_back(key);
  return keys;
}

} // namespace

TEST(GrokPlanFit, AnswersForEveryMachineAndFormat) {
  const json rows = parsed({"fit", "grok-1", "--devices=1xh200,8xh100", "--weights=int8,int4",
                            "--context=8192", "--batch=4", "--json"});
  ASSERT_EQ(rows.size(), 4U);
  for (const json &row : rows)
    EXPECT_THAT(keysOf(row), UnorderedElementsAre("devices", "weights", "fits", "bytes_per_rank",
                                                  "tokens_per_second", "bound_by", "why"));
  EXPECT_EQ(rows[0]["devices"], "1xh200");
  EXPECT_FALSE(rows[0]["fits"].get<bool>()) << "316 GB on one device";
  EXPECT_EQ(rows[0]["bound_by"], "memory");
  EXPECT_TRUE(rows[0]["tokens_per_second"].is_null());
  EXPECT_GT(rows[0]["bytes_per_rank"].get<double>(), 316e9);
  EXPECT_TRUE(rows[2]["fits"].get<bool>());
  EXPECT_EQ(rows[2]["weights"], "int8");
  EXPECT_EQ(rows[2]["bound_by"], "memory bandwidth");
  EXPECT_THAT(rows[2]["why"].get<std::string>(), HasSubstr("tp8 on 8 ranks"));
  EXPECT_GT(rows[3]["tokens_per_second"], rows[2]["tokens_per_second"]) << "fewer bits";
}

TEST(GrokPlanFit, ChoosesTheMostBitsThatFit) {
  const json rows =
      parsed({"fit", "grok-1", "--devices=1xh200,8xh200", "--weights=auto", "--json"});
  EXPECT_TRUE(rows[0]["fits"].get<bool>());
  EXPECT_THAT(rows[0]["weights"].get<std::string>(), HasSubstr("int3+int4("));
  EXPECT_EQ(rows[1]["weights"], "int8");
}

TEST(GrokPlanFit, ShowsATable) {
  const ToolResult result = runTool("grok-plan", {"fit", "grok-1", "--devices=8xa100-80"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("GB a rank"));
  EXPECT_THAT(result.out, HasSubstr("8xa100-80, int8: tp8 on 8 ranks: "));
}

TEST(GrokPlanFit, RefusesBadInputInOneLine) {
  const auto refused = [](std::vector<std::string> arguments, int status, const char *part) {
    arguments.insert(arguments.begin(), "fit");
    expectError("grok-plan", runTool("grok-plan", arguments), status, part);
  };
  refused({}, 2, "MODEL is required");
  refused({"grok-1"}, 2, "--devices is required");
  refused({"grok-2", "--devices=8xh100"}, 1, "grok-2");
  refused({"grok-1", "--devices=8xh1000"}, 1, "--devices, '8xh1000' is no known machine");
  refused({"grok-1", "--devices=missing.json"}, 1, "missing.json: cannot be read");
  refused({"grok-1", "--devices=8xh100", "--weights=int5"}, 1, "--weights, 'int5'");
  refused({"grok-1", "--devices=8xh100", "--weights=auto,int8"}, 1, "auto chooses by itself");
  refused({"grok-1", "--devices=8xh100", "--sharding=tp5"}, 1, "tp5 does not divide the 48");
  refused({"grok-1", "--devices=8xh100", "--sharding=tp8.pp2"}, 1, "takes 16 ranks");
  refused({"grok-1", "--devices=8xh100", "--sharding=tp8.tp2"}, 1, "has tp twice");
  refused({"grok-1", "--devices=8xh100", "--memory-budget=lots"}, 1, "--memory-budget, 'lots'");
  refused({"grok-1", "--devices=8xh100", "--batch=0"}, 2, "--batch");
}

TEST(GrokPlanFit, ReadsAMachineFile) {
  const toy::TemporaryFolder folder;
  const std::string path = folder.path + "/mine.json";
  const std::string text = R"({"name": "mine", "nodes": 1})";
  toy::writeFile(path, std::as_bytes(std::span(text)));
  expectError("grok-plan", runTool("grok-plan", {"fit", "grok-1", "--devices=" + path}), 1,
              path + ", description: is missing");
}
