// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-run on the hand-made model of tests/runtime/plan: flags, text, files.
#include "tests/runtime/plan/ToyPlan.h"
#include "tests/tools/commandline/ToolRun.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>

using namespace grok::runtime;
using grok::plan::PlanT;
using namespace grok::tools;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

static PlanT planWithTokenizer(const std::string &tokenizer) {
  PlanT plan = toy::makePlan();
  plan.tokenizer.assign(tokenizer.begin(), tokenizer.end());
  return plan;
}

/// What greedy decoding must give.
static std::vector<int32_t> continueGreedily(std::vector<int32_t> prompt, int count) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) {
    const std::vector<float> logits = toy::expectedLogits(prompt);
    ids.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    prompt.push_back(ids.back());
  }
  return ids;
}

static std::string join(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

/// Text of the tiny tokenizer's letters and spaces.
static std::string textOf(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += "abcde fghijklmno"[id];
  return text;
}

class GrokRun : public testing::Test {
protected:
  ToolResult run(std::vector<std::string> arguments, const std::string &input = "") {
    arguments.insert(arguments.begin(), artifact.path);
    return runTool("grok-run", arguments, input);
  }
  ToolResult runText(std::vector<std::string> arguments, const std::string &input = "") {
    arguments.insert(arguments.begin(), withText.path);
    return runTool("grok-run", arguments, input);
  }
  std::string path(const std::string &name) const { return folder.path + "/" + name; }
  std::string write(const std::string &name, const std::string &content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  /// Rows of an .npy file of [rows, vocabulary].
  std::vector<std::vector<float>> readLogits(const std::string &name) const {
    std::ifstream file(path(name), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::vector<float>> rows;
    for (size_t at = 128; at < bytes.size(); at += toy::vocabSize * sizeof(float)) {
      rows.emplace_back(toy::vocabSize);
      std::memcpy(rows.back().data(), bytes.data() + at, toy::vocabSize * sizeof(float));
    }
    return rows;
  }
  /// The logits after every one of `ids`.
  static std::vector<std::vector<float>> logitsAfter(const std::vector<int32_t> &ids) {
    std::vector<std::vector<float>> rows;
    for (size_t count = 1; count <= ids.size(); ++count)
      rows.push_back(toy::expectedLogits(std::span(ids).first(count)));
    return rows;
  }

  toy::Artifact artifact{planWithTokenizer("")};
  toy::Artifact withText{planWithTokenizer(makeTinyTokenizer())};
  toy::TemporaryFolder folder;
};

TEST_F(GrokRun, PrintsIdsWithoutATokenizer) {
  const ToolResult result = run({"--tokens", "1,2,3", "--max-new-tokens", "5"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, join(continueGreedily({1, 2, 3}, 5)) + "\n");
  EXPECT_EQ(result.err, "") << "no progress when it is not a terminal";
  EXPECT_EQ(run({"--tokens", "1,2,3", "--max-new-tokens", "5", "--print-tokens"}).out, result.out);
}

TEST_F(GrokRun, StreamsTextAndPrintsTokensLast) {
  const std::vector<int32_t> ids = continueGreedily({5, 0, 1}, 6);
  const ToolResult result =
      runText({"--prompt", "ab", "--max-new-tokens", "6", "--print-tokens", "--threads=2"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, textOf(ids) + "\n" + join(ids) + "\n");
  EXPECT_EQ(runText({"--prompt", "-", "--max-new-tokens", "6", "--print-tokens"}, "ab\n").out,
            result.out);
  EXPECT_EQ(runText({"--tokens", "5,0,1", "--max-new-tokens", "6", "--print-tokens"}).out,
            result.out);
}

TEST_F(GrokRun, FillsTheContextByDefault) {
  const ToolResult result = run({"--tokens", "1,2,3", "--print-tokens"});
  EXPECT_EQ(result.out, join(continueGreedily({1, 2, 3}, toy::maxContext - 3 + 1)) + "\n");
}

TEST_F(GrokRun, WritesLogitsOfEveryFedToken) {
  const std::vector<int32_t> fed = {1, 2, 3};
  const auto logits = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--tokens", "1,2,3", "--logits-out", path("x.npy")});
    EXPECT_EQ(run(arguments).status, 0);
    return readLogits("x.npy");
  };
  EXPECT_EQ(logits({"--max-new-tokens=0"}), logitsAfter(fed));
  EXPECT_EQ(logits({"--max-new-tokens=1"}), logitsAfter(fed)) << "the only new token is not fed";
  std::vector<int32_t> all = fed;
  for (int32_t id : continueGreedily(fed, 3))
    all.push_back(id);
  EXPECT_EQ(logits({"--max-new-tokens=4"}), logitsAfter(all));
  EXPECT_EQ(logits({"--max-new-tokens=4", "--prefill-chunk=1"}), logitsAfter(all));
  EXPECT_EQ(logits({"--max-new-tokens=4", "--threads=3", "--prefill-chunk=2"}), logitsAfter(all));
}

// The last launch of the prompt's one step gives the logits.
TEST_F(GrokRun, TellsWhatLaunchesWrote) {
  const std::vector<int32_t> ids = {3, 1, 4};
  const ToolResult result = run({"--tokens", join(ids), "--max-new-tokens", "0", "--logits-out",
                                 path("logits.npy"), "--launches-out", path("launches.tsv")});
  ASSERT_EQ(result.status, 0) << result.err;
  double squares = 0, largest = 0;
  for (const std::vector<float> &row : logitsAfter(ids))
    for (float logit : row) {
      squares += double(logit) * logit;
      largest = std::max(largest, double(std::abs(logit)));
    }
  std::ifstream file(path("launches.tsv"));
  std::string line, launch, buffer;
  int64_t lines = 0, step = -1, rows = 0, notFinite = -1;
  double rms = 0, most = 0;
  for (; std::getline(file, line); ++lines)
    std::istringstream(line) >> step >> launch >> buffer >> rows >> rms >> most >> notFinite;
  EXPECT_GT(lines, 1);
  EXPECT_EQ(step, 0);
  EXPECT_EQ(rows, 3);
  EXPECT_EQ(notFinite, 0);
  EXPECT_NEAR(most, largest, 1e-6 * largest); // nine digits are written
  EXPECT_NEAR(rms, std::sqrt(squares / (3 * toy::vocabSize)), 1e-6 * largest);
  EXPECT_THAT(run({"--tokens", "3", "--launches-out", path("no/such.tsv")}).err,
              HasSubstr("--launches-out: "));
}

TEST_F(GrokRun, OnlyFeedsThePrompt) {
  EXPECT_EQ(run({"--tokens", "1,2", "--max-new-tokens=0"}).out, "");
  EXPECT_EQ(run({"--tokens", "1,2", "--max-new-tokens=0", "--print-tokens"}).out, "\n");
}

TEST_F(GrokRun, RunsLinesOfIdsTogether) {
  const std::string file = write("prompts", "1,2\n3\r\n4,5,6\n");
  const ToolResult result = run(
      {"--prompts", file, "--max-new-tokens=4", "--print-tokens", "--logits-out", path("x.npy")});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, join(continueGreedily({1, 2}, 4)) + "\n" + join(continueGreedily({3}, 4)) +
                            "\n" + join(continueGreedily({4, 5, 6}, 4)) + "\n");
  EXPECT_EQ(readLogits("x.npy.0").size(), 5u);
  EXPECT_EQ(readLogits("x.npy.1").size(), 4u);
  std::vector<int32_t> fed = {4, 5, 6};
  for (int32_t id : continueGreedily(fed, 3))
    fed.push_back(id);
  EXPECT_EQ(readLogits("x.npy.2"), logitsAfter(fed));
}

TEST_F(GrokRun, HeadsTheTextsOfSeveralPrompts) {
  const ToolResult result =
      runText({"--prompts", write("prompts", "ab\nc d\n"), "--max-new-tokens=3", "--print-tokens"});
  const std::vector<int32_t> first = continueGreedily({5, 0, 1}, 3);
  const std::vector<int32_t> second = continueGreedily({5, 2, 5, 3}, 3);
  EXPECT_EQ(result.out, "==> 0 <==\n" + textOf(first) + "\n==> 1 <==\n" + textOf(second) + "\n" +
                            join(first) + "\n" + join(second) + "\n");
}

TEST_F(GrokRun, PromptsWaitForLittleMemory) {
  const std::string file = write("prompts", "1,2\n3\n4,5,6\n7\n");
  const std::vector<std::string> arguments = {"--prompts", file, "--max-new-tokens=20"};
  std::vector<std::string> little = arguments;
  little.push_back("--kv-memory=6KiB"); // two pages: one prompt at a time
  const ToolResult result = run(little);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, run(arguments).out);
}

TEST_F(GrokRun, SamplesBySeed) {
  const auto draw = [&](const char *seed) {
    return run({"--tokens=1", "--max-new-tokens=3", "--temperature=3000", "--top-p=0.5", "--seed",
                seed})
        .out;
  };
  EXPECT_EQ(draw("1"), draw("1"));
  EXPECT_THAT((std::vector{draw("1"), draw("2"), draw("3")}), Not(testing::Each(draw("1"))));
}

TEST_F(GrokRun, StopsBeforeAText) {
  const std::string text = textOf(continueGreedily({5, 0, 1}, 6));
  const std::string stop = text.substr(2, 2);
  const ToolResult result = runText({"--prompt=ab", "--max-new-tokens=6", "--stop", stop});
  EXPECT_EQ(result.out, text.substr(0, text.find(stop)) + "\n");
  EXPECT_EQ(runText({"--prompt=ab", "--max-new-tokens=6", "--stop=[a,b]", "--stop=zz"}).out,
            text + "\n");
}

TEST_F(GrokRun, StopsAtTheEndToken) {
  const std::vector<int32_t> ids = continueGreedily({1, 2, 3}, 5);
  PlanT plan = planWithTokenizer("");
  plan.model->eos_token = ids[1];
  const toy::Artifact ending(plan);
  const auto last = std::ranges::find(ids, ids[1]) + 1;
  EXPECT_EQ(
      runTool("grok-run", {ending.path, "--tokens=1,2,3", "--max-new-tokens=5", "--stop-at-eos"})
          .out,
      join({ids.begin(), last}) + "\n");
}

TEST_F(GrokRun, WrongUsage) {
  using Case = std::pair<std::vector<std::string>, std::string>;
  const std::vector<Case> cases = {
      {{}, "give exactly one of --prompt, --prompts and --tokens"},
      {{"--prompt=a", "--tokens=1"}, "give exactly one of"},
      {{"--tokens=1", "extra"}, "extra"},
      {{"--tokens=1", "--no-such-flag"}, "--no-such-flag"},
      {{"--tokens", ""}, "no token id"},
      {{"--tokens=1,x"}, "'x' is no token id"},
      {{"--tokens=1", "--beams=4"}, "--beams is not in this version"},
      {{"--tokens=1", "--beams", "4"}, "--beams is not in this version"},
      {{"--tokens=1", "--device=tpu"}, "'tpu' is no such value"},
      {{"--tokens=1", "--ranks=0"}, "--ranks"},
      {{"--tokens=1", "--rank=1"}, "--rank"},
      {{"--tokens=1", "--max-new-tokens=-1"}, "--max-new-tokens: -1 is negative"},
      {{"--tokens=1", "--max-new-tokens=x"}, "--max-new-tokens"},
      {{"--tokens=1", "--temperature=-1"}, "temperature -1 is out of range"},
      {{"--tokens=1", "--temperature=nan"}, "temperature nan is out of range"},
      {{"--tokens=1", "--temperature=inf"}, "temperature inf is out of range"},
      {{"--tokens=1", "--top-p=0"}, "top-p 0 is out of range"},
      {{"--tokens=1", "--top-p=1.1"}, "top-p 1.1 is out of range"},
      {{"--tokens=1", "--seed=-1"}, "--seed: -1 is negative"},
      {{"--tokens=1", "--threads=0"}, "--threads"},
      {{"--tokens=1", "--prefill-chunk=0"}, "--prefill-chunk"},
      {{"--tokens=1", "--kv-memory=4GB"}, "--kv-memory: '4GB' has an unknown unit"},
      {{"--tokens=1", "--kv-memory=0"}, "--kv-memory: 0 holds no token"},
      {{"--tokens=1", "--stop", ""}, "--stop: the text is empty"}};
  for (const auto &[arguments, part] : cases)
    expectError("grok-run", run(arguments), 2, part);
  expectError("grok-run", runTool("grok-run", {}), 2, "ARTIFACT is required");
}

TEST_F(GrokRun, BadInput) {
  using Case = std::pair<std::vector<std::string>, std::string>;
  const std::string sixtyFive = join(std::vector<int32_t>(65, 1));
  const std::vector<Case> cases = {
      {{"--tokens=1,20"}, "token 20 at position 1 is outside the vocabulary"},
      {{"--tokens=-1"}, "token -1 at position 0"},
      {{"--tokens=" + sixtyFive}, "65 tokens, the context holds 64"},
      {{"--tokens=1,2", "--max-new-tokens=64"}, "room for 63 new ones, not 64"},
      {{"--tokens=1", "--kv-memory=1KiB"}, "raise --kv-memory"},
      {{"--prompt=ab"}, "no tokenizer, give ids with --tokens"},
      {{"--tokens=1", "--stop=x"}, "no tokenizer and makes no text"},
      {{"--prompts", path("none")}, "none"},
      {{"--prompts", folder.path}, folder.path},
      {{"--prompts", write("empty", "")}, "has no lines"},
      {{"--prompts", write("gap", "1\n\n2\n")}, "gap line 2, is empty"},
      {{"--prompts", write("bad", "1\n2;3\n")}, "bad line 2, ';3' follows a token id"},
      {{"--tokens=1", "--logits-out=/dev/null"}, "not a regular file"},
      {{"--tokens=1", "--logits-out", path("no/such.npy")}, "No such file"}};
  for (const auto &[arguments, part] : cases)
    expectError("grok-run", run(arguments), 1, part);
  expectError("grok-run", runText({"--prompt", ""}), 1, "prompt, has no tokens");
  expectError("grok-run", runText({"--prompt=a\xff"}), 1, "prompt, text, byte 1 is not UTF-8");
  expectError("grok-run", runText({"--prompt=-"}), 1, "prompt, has no tokens");
  expectError("grok-run", runTool("grok-run", {path("none"), "--tokens=1"}), 1, "none/model.plan");
}

TEST_F(GrokRun, NamesABadTokenizer) {
  const toy::Artifact damaged(planWithTokenizer("abc"));
  expectError("grok-run", runTool("grok-run", {damaged.path, "--prompt=a"}), 1,
              "model.plan, tokenizer, its bytes are not a SentencePiece model");
  std::string other = makeTinyTokenizer();
  other = other.substr(other.find('b') - 4); // one piece less
  const toy::Artifact wrong(planWithTokenizer(other));
  expectError("grok-run", runTool("grok-run", {wrong.path, "--prompt=a"}), 1, "tokenizer, ");
}

TEST_F(GrokRun, LeavesNoHalfWrittenFile) {
  // Token 19 makes a kernel of the toy model fail, after rows have been written.
  const ToolResult result = run({"--tokens=1,2,3,19", "--prefill-chunk=1", "--max-new-tokens=1",
                                 "--logits-out", path("x.npy")});
  expectError("grok-run", result, 1, "scale");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

TEST_F(GrokRun, SaysWhenItsOutputIsGone) {
  const std::string command = "grok-run " + artifact.path + " --tokens=1 ";
  const ToolResult full = runShell(command + ">/dev/full");
  expectError("grok-run", full, 1, "standard output, cannot be written: No space left");
  const ToolResult closed = runShell(command + ">&-");
  expectError("grok-run", closed, 1, "standard output");
  // The reader is gone before the first byte is written.
  const ToolResult broken = runShell("{ sleep 2; " + command + "; echo status $? >&2; } | true");
  EXPECT_THAT(broken.err, EndsWith("status 1\n"));
  EXPECT_THAT(broken.err, HasSubstr("its reader has gone"));
}

TEST(GrokRunHelp, ShowsWhatWorks) {
  const ToolResult help = runTool("grok-run", {"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char *flag :
       {"--prompt", "--prompts", "--tokens", "--max-new-tokens", "--temperature", "--top-p",
        "--seed", "--stop-at-eos", "--stop", "--device", "cuda", "--threads", "--prefill-chunk",
        "--kv-memory", "--logits-out", "--print-tokens", "--ranks", "--rank", "--leader"})
    EXPECT_THAT(help.out, HasSubstr(flag));
  EXPECT_THAT(help.out, Not(HasSubstr("--beams")));
  EXPECT_THAT(runTool("grok-run", {"--version"}).out, testing::StartsWith("grok-run "));
}
