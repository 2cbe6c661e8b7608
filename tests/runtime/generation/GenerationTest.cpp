// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/runtime/generation/ToyEngine.h"

#include <gmock/gmock.h>
#include <limits>

using namespace grok::runtime;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

namespace {

class Recorder : public GenerationListener {
public:
  explicit Recorder(size_t prompts) : tokens(prompts), likeliest(prompts), finished(prompts) {}

  Result<void> takeLogits(size_t prompt, std::span<const float> logits) override {
    likeliest[prompt].push_back(
        static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    return {};
  }
  Result<bool> takeToken(size_t prompt, int32_t token) override {
    tokens[prompt].push_back(token);
    if (failsAtToken)
      return fail("the disk is full");
    return token != unwanted;
  }
  Result<void> finish(size_t prompt) override {
    ++finished[prompt];
    return {};
  }
  void showProgress(int64_t promptTokensFed) override { progress.push_back(promptTokensFed); }

  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<int32_t>> likeliest; // after each position
  std::vector<int> finished;
  std::vector<int64_t> progress;
  int32_t unwanted = -1;
  bool failsAtToken = false;
};

} // namespace

using Prompts = std::vector<std::vector<int32_t>>;

static Recorder runPrompts(toy::Engine &engine, const GenerationOptions &options,
                           const Prompts &prompts) {
  Recorder recorder(prompts.size());
  const Result<void> done = generate(engine, engine.limits, options, prompts, recorder);
  EXPECT_TRUE(done) << done.error();
  EXPECT_THAT(engine.sequences, IsEmpty()) << "sequences are given back";
  EXPECT_THAT(recorder.finished, Each(1));
  return recorder;
}

// 1 + 2 = 3; 3 + 3 = 6; 6 + 6 = 12 -> 2; 12 + 2 = 14 -> 4; ...
TEST(Generation, FeedsBackWhatItDraws) {
  toy::Engine engine;
  EXPECT_THAT(runPrompts(engine, {.maxNewTokens = 4}, {{1, 2}}).tokens[0], ElementsAre(3, 6, 2, 4));
  EXPECT_THAT(engine.stepRows, ElementsAre(2, 1, 1, 1)) << "the last token is not fed";
}

TEST(Generation, NoNewTokensOnlyFeedsThePrompt) {
  toy::Engine engine;
  const Recorder recorder = runPrompts(engine, {.wantAllLogits = true}, {{1, 2, 3}});
  EXPECT_THAT(recorder.tokens[0], IsEmpty());
  EXPECT_THAT(recorder.likeliest[0], ElementsAre(1, 3, 6));
}

TEST(Generation, GivesLogitsOfEveryFedToken) {
  toy::Engine engine;
  const Recorder recorder =
      runPrompts(engine, {.maxNewTokens = 3, .wantAllLogits = true}, {{1, 2}});
  EXPECT_THAT(recorder.likeliest[0], ElementsAre(1, 3, 6, 2)) << "2 of the prompt, 2 fed back";
}

TEST(Generation, CutsPromptsIntoChunks) {
  toy::Engine engine;
  const Prompts prompts = {{1, 1, 1, 1, 1, 1, 1}};
  const Recorder recorder = runPrompts(engine, {.maxNewTokens = 1}, prompts);
  EXPECT_THAT(engine.stepRows, ElementsAre(4, 3)) << "what a step takes";
  EXPECT_THAT(recorder.progress, ElementsAre(4, 7));
  toy::Engine careful;
  runPrompts(careful, {.maxNewTokens = 1, .prefillChunk = 2}, prompts);
  EXPECT_THAT(careful.stepRows, ElementsAre(2, 2, 2, 1));
  toy::Engine clipped;
  runPrompts(clipped, {.maxNewTokens = 1, .prefillChunk = 100}, prompts);
  EXPECT_THAT(clipped.stepRows, ElementsAre(4, 3));
}

TEST(Generation, RunsPromptsTogetherAsIfAlone) {
  const Prompts prompts = {{1, 2}, {4}, {5, 5, 5, 5, 5, 5}, {9, 1}};
  const GenerationOptions options = {.maxNewTokens = 5, .wantAllLogits = true};
  toy::Engine engine;
  const Recorder together = runPrompts(engine, options, prompts);
  EXPECT_GT(engine.mostSequences, 1u);
  for (size_t i = 0; i < prompts.size(); ++i) {
    toy::Engine single;
    const Recorder alone = runPrompts(single, options, {prompts[i]});
    EXPECT_EQ(together.tokens[i], alone.tokens[0]);
    EXPECT_EQ(together.likeliest[i], alone.likeliest[0]);
  }
}

TEST(Generation, DrawsAsIfAlone) {
  const GenerationOptions options = {.maxNewTokens = 8,
                                     .sampling = {.temperature = 3, .topP = 1, .seed = 11}};
  toy::Engine engine;
  const Recorder recorder = runPrompts(engine, options, {{1}, {1}});
  EXPECT_EQ(recorder.tokens[0], recorder.tokens[1]);
}

TEST(Generation, WaitsForFreePages) {
  EngineLimits limits = toy::engineLimits;
  limits.pages = 4; // each prompt needs 2 in the end, so at most two run
  toy::Engine engine(limits);
  const Prompts prompts(5, {1, 2, 3});
  const Recorder recorder = runPrompts(engine, {.maxNewTokens = 5}, prompts);
  EXPECT_EQ(engine.mostSequences, 2u);
  EXPECT_THAT(recorder.tokens, Each(SizeIs(5)));
}

TEST(Generation, RunsMorePromptsThanRows) {
  EngineLimits limits = toy::engineLimits;
  limits.pages = 100;
  toy::Engine engine(limits);
  const Recorder recorder = runPrompts(engine, {.maxNewTokens = 3}, Prompts(9, {1, 2}));
  EXPECT_THAT(engine.stepRows, Each(Le(4)));
  EXPECT_THAT(recorder.tokens, Each(ElementsAre(3, 6, 2)));
}

TEST(Generation, StopsAtATokenOrOnDemand) {
  toy::Engine engine;
  EXPECT_THAT(runPrompts(engine, {.maxNewTokens = 9, .stopToken = 2}, {{1, 2}}).tokens[0],
              ElementsAre(3, 6, 2));
  Recorder recorder(1);
  recorder.unwanted = 6;
  const Prompts prompts = {{1, 2}};
  ASSERT_TRUE(generate(engine, engine.limits, {.maxNewTokens = 9}, prompts, recorder));
  EXPECT_THAT(recorder.tokens[0], ElementsAre(3, 6));
}

TEST(Generation, EndsWithTheFirstError) {
  const Prompts prompts = {{1, 2}};
  toy::Engine engine;
  Recorder recorder(1);
  recorder.failsAtToken = true;
  EXPECT_EQ(generate(engine, engine.limits, {.maxNewTokens = 9}, prompts, recorder).error(),
            "the disk is full");
  toy::Engine damaged;
  damaged.badLogit = std::numeric_limits<float>::quiet_NaN();
  Recorder unused(1);
  EXPECT_THAT(generate(damaged, damaged.limits, {.maxNewTokens = 9}, prompts, unused).error(),
              HasSubstr("new token 0, the logit of token 3 is not finite"));
}

TEST(CheckPrompt, NamesWhatIsWrong) {
  const auto why = [](std::vector<int32_t> prompt, int64_t newTokens,
                      EngineLimits limits = toy::engineLimits) {
    const Result<void> checked = checkPrompt(prompt, {.maxNewTokens = newTokens}, limits);
    return checked ? "" : checked.error();
  };
  EXPECT_EQ(why({1, 2}, 15), "") << "15 - 1 new tokens are fed";
  EXPECT_EQ(why(std::vector<int32_t>(16, 1), 1), "");
  EXPECT_EQ(why(std::vector<int32_t>(16, 1), 0), "");
  EXPECT_THAT(why({}, 1), HasSubstr("no tokens"));
  EXPECT_THAT(why({1, 10}, 1), HasSubstr("token 10 at position 1 is outside the vocabulary"));
  EXPECT_THAT(why({-1}, 1), HasSubstr("token -1 at position 0"));
  EXPECT_THAT(why(std::vector<int32_t>(17, 1), 0), HasSubstr("17 tokens, the context holds 16"));
  EXPECT_THAT(why({1, 2}, 16), HasSubstr("room for 15 new ones, not 16"));
  EXPECT_THAT(why({1, 2}, std::numeric_limits<int64_t>::max()), HasSubstr("room for 15"));
  EngineLimits small = toy::engineLimits;
  small.pages = 1;
  EXPECT_THAT(why({1, 2, 3}, 3, small), HasSubstr("needs 2 key/value pages"));
  EXPECT_THAT(why({1, 2, 3}, 3, small), HasSubstr("raise --kv-memory to 200"));
  EXPECT_EQ(why({1, 2, 3}, 2, small), "");
}
