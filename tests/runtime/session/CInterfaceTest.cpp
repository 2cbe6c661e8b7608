// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The C interface, through the shared library and the example in C.
#include "runtime/grok.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <gmock/gmock.h>

namespace grok::runtime {

using testing::HasSubstr;

class CInterface : public testing::Test {
protected:
  void SetUp() override {
    GrokLoadOptions options = {};
    options.size = sizeof(options);
    options.threads = 2;
    options.fullCheck = 1;
    model = grokModelLoad(artifact.path.c_str(), &options);
    ASSERT_NE(model, nullptr) << grokLastError();
    session = grokSessionCreate(model, nullptr);
    ASSERT_NE(session, nullptr) << grokLastError();
  }
  void TearDown() override {
    grokModelFree(model); // before its session, on purpose
    grokSessionFree(session);
  }

  toy::Artifact artifact;
  GrokModel *model = nullptr;
  GrokSession *session = nullptr;
};

TEST_F(CInterface, StepsAndPrefills) {
  int32_t sequence = grokSequenceCreate(session);
  std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  GrokLogits logits;
  ASSERT_EQ(grokPrefill(session, sequence, tokens.data(), tokens.size(), 3, &logits), 0);
  EXPECT_EQ(grokSequenceLength(session, sequence), 8);
  tokens.push_back(7);
  GrokStepRow row = {7, sequence, 1};
  ASSERT_EQ(grokStep(session, &row, 1, &logits), 0) << grokLastError();
  ASSERT_EQ(logits.rows, 1);
  EXPECT_THAT(std::span(logits.data, static_cast<size_t>(logits.vocabSize)),
              testing::ElementsAreArray(toy::expectedLogits(tokens)));
  EXPECT_EQ(grokSequenceFree(session, sequence), 0);
}

TEST_F(CInterface, TellsAboutTheModel) {
  GrokModelInfo info = {};
  info.size = sizeof(info);
  ASSERT_EQ(grokModelInfo(model, &info), 0);
  EXPECT_EQ(info.vocabSize, 20);
  EXPECT_EQ(info.maxContext, 64);
  EXPECT_EQ(info.threads, 2);
  EXPECT_STREQ(info.cpuLevel, "x86-64-v2");
  size_t size = 0;
  EXPECT_NE(grokModelTokenizer(model, &size), nullptr);
  EXPECT_EQ(size, 3u);
  EXPECT_THAT(grokVersion(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

// A caller built against an older header passes a smaller struct.
TEST_F(CInterface, WritesNoMoreThanTheCallerHas) {
  GrokModelInfo info = {};
  info.size = offsetof(GrokModelInfo, maxContext);
  info.maxContext = -7;
  ASSERT_EQ(grokModelInfo(model, &info), 0);
  EXPECT_EQ(info.vocabSize, 20);
  EXPECT_EQ(info.maxContext, -7);
  info.size = 0;
  EXPECT_NE(grokModelInfo(model, &info), 0);
}

TEST_F(CInterface, ReportsFailures) {
  GrokLogits logits;
  GrokStepRow row = {99, grokSequenceCreate(session), 1};
  EXPECT_NE(grokStep(session, &row, 1, &logits), 0);
  EXPECT_THAT(grokLastError(), HasSubstr("token 99"));
  EXPECT_NE(grokStep(session, &row, 65, &logits), 0);
  EXPECT_THAT(grokLastError(), HasSubstr("65 rows"));
  EXPECT_NE(grokSequenceFree(session, 5), 0);
  EXPECT_EQ(grokModelLoad("/nonexistent", nullptr), nullptr);
  EXPECT_THAT(grokLastError(), HasSubstr("/nonexistent/model.plan: cannot open"));
  EXPECT_EQ(grokModelLoad(nullptr, nullptr), nullptr);
  EXPECT_EQ(grokSessionCreate(nullptr, nullptr), nullptr);
}

TEST_F(CInterface, ObserverSeesWrittenBuffers) {
  std::vector<std::string> seen;
  auto observe = [](const GrokLaunchView *launch, void *user) {
    for (size_t i = 0; i < launch->numWritten; ++i)
      static_cast<std::vector<std::string> *>(user)->push_back(std::string(launch->name) + ":" +
                                                               launch->written[i].name);
  };
  grokSessionObserve(session, observe, &seen);
  GrokStepRow row = {1, grokSequenceCreate(session), 1};
  ASSERT_EQ(grokStep(session, &row, 1, nullptr), 0);
  EXPECT_THAT(seen, testing::Contains("layer1.scale:h"));
  EXPECT_EQ(seen.front(), "embed:h");
  EXPECT_EQ(seen.back(), "unembed:logits");
  size_t before = seen.size();
  grokSessionObserve(session, nullptr, nullptr);
  ASSERT_EQ(grokStep(session, &row, 1, nullptr), 0);
  EXPECT_EQ(seen.size(), before);
}

static std::string outputOf(const std::string &command) {
  // Commands are made of paths of this build and of temporary folders.
  FILE *pipe = popen((command + " 2>&1").c_str(), "r"); // NOLINT(bugprone-command-processor)
  std::string text;
  char part[256];
  while (fgets(part, sizeof(part), pipe))
    text += part;
  pclose(pipe);
  return text;
}

TEST(Example, GeneratesGreedily) {
  toy::Artifact artifact;
  std::vector<int32_t> tokens = {5, 6};
  std::string expected;
  for (int i = 0; i < 4; ++i) {
    std::vector<float> logits = toy::expectedLogits(tokens);
    tokens.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    expected += std::to_string(tokens.back()) + "\n";
  }
  EXPECT_EQ(outputOf(GENERATE_C " " + artifact.path + " 4 5 6"), expected);
  EXPECT_THAT(outputOf(GENERATE_C " /nonexistent 4 5 6"),
              testing::StartsWith("generate: /nonexistent/model.plan: cannot open"));
}

TEST(SharedLibrary, IsSmallWhenStripped) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "sanitizers make it large";
#endif
  toy::TemporaryFolder folder;
  std::string stripped = folder.path + "/stripped.so";
  EXPECT_EQ(outputOf("strip -o " + stripped + " " GROK_RUNTIME_LIBRARY), "");
  EXPECT_LT(std::filesystem::file_size(stripped), 3u << 20);
}

// What another program sees are the functions of grok.h, nothing else.
TEST(SharedLibrary, ExportsTheInterfaceOnly) {
  std::string symbols = outputOf("nm -D --defined-only --format=posix " GROK_RUNTIME_LIBRARY);
  EXPECT_THAT(symbols, HasSubstr("grokModelLoad"));
  for (size_t line = 0; line < symbols.size(); line = symbols.find('\n', line) + 1)
    EXPECT_EQ(symbols.substr(line, 4), "grok") << symbols.substr(line, 80);
}

TEST(SharedLibrary, NeedsNoCompilerLibraries) {
  std::string needed = outputOf("readelf -d " GROK_RUNTIME_LIBRARY);
  for (const char *name : {"LLVM", "MLIR", "crypto", "flatbuffers"})
    EXPECT_THAT(needed, testing::Not(HasSubstr(name)));
}

} // namespace grok::runtime
