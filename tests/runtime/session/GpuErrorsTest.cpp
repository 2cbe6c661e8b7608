// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whichever call of the GPU's driver fails, from loading on: one line says so, nothing hangs
// and nothing is left. On the fake driver.
#include "runtime/session/Session.h"
#include "tests/runtime/device/cuda/FakeDriver.h"
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Loads, decodes and frees.
static Result<void> decode(const std::string &artifact) {
  LoadOptions options;
  options.threads = 1;
  options.device = DeviceKind::cuda;
  auto model = Model::load(artifact, options);
  if (!model)
    return fail(model.error());
  auto session = Session::create(*model);
  if (!session)
    return fail(session.error());
  const int32_t sequence = (*session)->createSequence().value();
  const StepRow row = {.token = 3, .sequence = sequence, .wantLogits = true};
  const GrokDraw draw = {grokDrawTop, 0, 0, 0};
  int32_t drawn = -1;
  return (*session)
      ->step(std::vector<StepRow>(3, row))
      .and_then([&](const Logits &) {
        return (*session)->stepAndDraw({&row, 1}, {&draw, 1}, {&drawn, 1});
      })
      .and_then([&] { return (*session)->freeSequence(sequence); });
}

/// Lines of this process's memory map that name the artifact.
static int mappingsOf(const std::string &artifact) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find(artifact) != std::string::npos;
  return count;
}

// One use of a model takes less than a second; a signal ends the test if it hangs.
static constexpr unsigned longestUse = 60; // seconds

/// How many of the driver's calls were made to fail, one at a time, with that effect.
static int failEachCall(FakeDriver &driver, const std::string &artifact) {
  int call = 0, errors = 0;
  do {
    driver.set("FAKE_CUDA_FAIL", "call=" + std::to_string(++call));
    alarm(longestUse);
    const Result<void> done = decode(artifact);
    alarm(0);
    const std::string error = done ? "" : done.error();
    if (!done) {
      ++errors;
      EXPECT_THAT(error, AllOf(HasSubstr("CUDA_ERROR_OUT_OF_MEMORY"), Not(HasSubstr("\n"))))
          << call;
    }
    EXPECT_EQ(FakeDriver::living(), 0) << call << ": " << error;
    EXPECT_EQ(mappingsOf(artifact), 0) << call << ": " << error;
  } while (FakeDriver::calls("failed as asked") > 0 && !testing::Test::HasFailure());
  return errors;
}

TEST(GpuErrorsTest, OneRank) {
  const toy::Artifact artifact(toy::makePlan());
  FakeDriver driver(artifact.path + "/model.plan");
  driver.set("GROK_EMULATOR_LIBRARY", EMULATOR).set("GROK_NCCL_LIBRARY", "");
  EXPECT_GT(failEachCall(driver, artifact.path), 50);
}

// Threads of this process, with a GPU each.
static int failEachCallOfTwoRanks(const char *nccl) {
  const toy::Artifact artifact(toy::makePlanWithSum(plan::Axis::ep, 2));
  FakeDriver driver(artifact.path + "/model.plan");
  driver.set("GROK_EMULATOR_LIBRARY", EMULATOR)
      .set("FAKE_CUDA_DEVICES", "2")
      .set("GROK_NCCL_LIBRARY", nccl);
  return failEachCall(driver, artifact.path);
}

// Where one fails the other waits for it.
TEST(GpuErrorsTest, TwoRanks) { EXPECT_GT(failEachCallOfTwoRanks(""), 50); }

// One fails while the other waits for it in NCCL.
TEST(GpuErrorsTest, TwoRanksWithNccl) { EXPECT_GT(failEachCallOfTwoRanks(FAKE_CUDA), 100); }

} // namespace grok::runtime
