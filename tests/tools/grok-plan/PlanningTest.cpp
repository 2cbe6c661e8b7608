// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan fit`, `search`, `check` and `diff` of searches as their users run them.
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
  EXPECT_THAT(result.out, HasSubstr("a rank"));
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
  refused({"grok-1", "--devices=8xh100", "--sharding=ep8:hidden=0-64"}, 1, "from 0 to 63");
  refused({"grok-1", "--devices=8xh100", "--sharding=ep8:whole=0"}, 1, "is not hidden=LAYERS");
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

namespace {

class GrokPlanSearch : public testing::Test {
protected:
  std::string write(const std::string &name, const std::string &text) {
    const std::string path = folder.path + "/" + name;
    toy::writeFile(path, std::as_bytes(std::span(text)));
    return path;
  }
  std::string search(const std::string &name, std::vector<std::string> arguments) {
    const std::string path = folder.path + "/" + name;
    arguments.insert(arguments.begin(), {"search", "grok-1", "--certificate=" + path});
    const ToolResult result = runTool("grok-plan", arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    output = result.out;
    return path;
  }
  static std::string readText(const std::string &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  toy::TemporaryFolder folder;
  std::string output;
};

} // namespace

TEST_F(GrokPlanSearch, RanksAndSaysWhy) {
  search("c.json", {"--devices=2x8xh100"});
  EXPECT_THAT(output, HasSubstr("grok-1 on 2x8xh100 for latency: batch 1"));
  EXPECT_THAT(output, HasSubstr("\n 1  tp8"));
  EXPECT_THAT(output, HasSubstr("Next is tp8.pp2"));
  EXPECT_THAT(output, HasSubstr("tp8.ep2:hidden=0-63, int8 wins if "
                                "all_reduce[16 ranks, 2 nodes].microseconds < 35."));
  EXPECT_THAT(output, HasSubstr("(file says 36.0; nccl, mscclpp:docs/performance-ndmv4.md"));
}

TEST_F(GrokPlanSearch, WritesACertificateThatHolds) {
  const std::string path = search("c.json", {"--devices=8xh100", "--weights=int8,int4",
                                             "--goal=throughput", "--batch=16", "--top=3"});
  const json document = json::parse(readText(path));
  EXPECT_EQ(document["plans"].size(), 3U);
  EXPECT_EQ(document["workload"]["goal"], "throughput");
  const ToolResult checked = runTool("grok-plan", {"check", path});
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_THAT(checked.out, HasSubstr("holds; "));

  json wrong = document;
  wrong["plans"][0]["objective_seconds"] = 1e-9;
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", wrong.dump())}), 1,
              "does not hold: the plan tp8");
  wrong = document;
  wrong["pruned"][0]["rule"] = "taste";
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", wrong.dump())}), 1,
              "w.json, rule: is missing or of the wrong kind");
  wrong = document;
  wrong["pruned"][0]["hidden_layers"] = "0-64";
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", wrong.dump())}), 1,
              "w.json, hidden_layers: is missing or of the wrong kind");
  wrong = document;
  wrong["model"].erase("width");
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", wrong.dump())}), 1,
              "w.json, width: is missing");
  wrong = document;
  wrong["model"]["experts"] = 0;
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", wrong.dump())}), 1,
              "sizes out of range");
  expectError("grok-plan", runTool("grok-plan", {"check", write("w.json", "[")}), 1,
              "is no JSON object");
}

TEST_F(GrokPlanSearch, TakesHiddenLayersWhereverItTakesASharding) {
  const json rows =
      parsed({"fit", "grok-1", "--devices=8xh100", "--sharding=tp2.ep4:hidden=all", "--json"});
  EXPECT_THAT(rows[0]["why"].get<std::string>(), HasSubstr("tp2.ep4:hidden=0-63 on 8 ranks"));
  const std::string whole = search("a.json", {"--devices=8xh100", "--sharding=tp2.ep4"});
  EXPECT_THAT(output, HasSubstr("1  tp2.ep4  "));
  const std::string some =
      search("b.json", {"--devices=8xh100", "--sharding=tp2.ep4:hidden=3,0-1"});
  EXPECT_THAT(output, HasSubstr("1  tp2.ep4:hidden=0-1,3  "));
  EXPECT_EQ(runTool("grok-plan", {"check", some}).status, 0);
  EXPECT_THAT(runTool("grok-plan", {"diff", whole, some}).out, HasSubstr("tp2.ep4:hidden=0-1,3"));
}

TEST_F(GrokPlanSearch, WritesTheSameTwice) {
  const std::string first = search("a.json", {"--devices=8xh100"});
  const std::string second = search("b.json", {"--devices=8xh100"});
  EXPECT_EQ(readText(first), readText(second));
}

TEST_F(GrokPlanSearch, DiffsSearches) {
  const std::string left = search("a.json", {"--devices=8xh100"});
  const std::string right = search("b.json", {"--devices=8xh100", "--weights=int4"});
  const ToolResult result = runTool("grok-plan", {"diff", left, right});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("% less: a token, "));
  EXPECT_THAT(result.out, HasSubstr("a token, experts"));
  EXPECT_THAT(result.out, HasSubstr("a rank, weights"));
  EXPECT_EQ(runTool("grok-plan", {"diff", left, left}).out, "No difference.\n");
}

TEST_F(GrokPlanSearch, WritesAReport) {
  const std::string page = folder.path + "/r.html";
  search("a.json", {"--devices=8xh100", "--emit-report=" + page});
  EXPECT_THAT(readText(page), HasSubstr("<h2>Devices</h2>"));
}

TEST_F(GrokPlanSearch, RefusesBadInputInOneLine) {
  const auto refused = [](std::vector<std::string> arguments, int status, const char *part) {
    arguments.insert(arguments.begin(), {"search", "grok-1"});
    expectError("grok-plan", runTool("grok-plan", arguments), status, part);
  };
  refused({"--devices=8xh100,8xh200"}, 1, "one machine at a time");
  refused({"--devices=1xh200", "--weights=int8"}, 1, "1xh200: no plan fits, needs ");
  refused({"--devices=8xh100", "--sharding=tp6"}, 1, "tp6 neither divides");
  refused({"--devices=8xh100", "--top=0"}, 2, "--top");
  refused({"--devices=8xh100", "--goal=fast"}, 2, "--goal");
  refused({"--devices=8xh100", "--certificate=/dev/null/x"}, 1, "--certificate");
}
