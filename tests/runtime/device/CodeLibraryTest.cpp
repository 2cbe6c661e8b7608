// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Choosing a code blob and loading it.
#include "runtime/device/cpu/CodeLibrary.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <gmock/gmock.h>

namespace grok::runtime {

using testing::HasSubstr;

static PlanDocument documentOf(const plan::PlanT &plan) {
  return parsePlan(toy::fileOf(plan), "toy.plan").value();
}

static void setFeatures(plan::PlanT &plan, std::vector<std::string> low,
                        std::vector<std::string> high) {
  plan.code[0]->features = std::move(low);
  plan.code[1]->features = std::move(high);
}

TEST(CpuFeatures, KnowsThisMachine) {
  CpuFeatures features = CpuFeatures::detect();
  EXPECT_TRUE(features.has("sse2")); // part of x86-64
  EXPECT_FALSE(features.has("telepathy"));
  EXPECT_EQ(features.has("avx2"), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(features.has("avx512bw"), __builtin_cpu_supports("avx512bw") != 0);
  EXPECT_EQ(features.has("avx512vnni"), __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(features.has("fma"), __builtin_cpu_supports("fma") != 0);
  EXPECT_FALSE(features.has("amx-int8") && !features.has("amx-tile"));
}

TEST(SelectCode, TakesTheRichestUsable) {
  plan::PlanT plan = toy::makePlan();
  setFeatures(plan, {"sse4.2"}, {"sse4.2", "avx2"});
  PlanDocument document = documentOf(plan);
  auto level = [&](std::vector<std::string_view> features) {
    return selectCode(document.root(), CpuFeatures(features)).value()->level()->str();
  };
  EXPECT_EQ(level({"sse4.2"}), "x86-64-v2");
  EXPECT_EQ(level({"sse4.2", "avx2"}), "future");
  EXPECT_EQ(level({"sse4.2", "avx512f"}), "x86-64-v2");
}

TEST(SelectCode, OverrideAndErrors) {
  PlanDocument document = documentOf(toy::makePlan());
  CpuFeatures features({"sse4.2"});
  EXPECT_TRUE(selectCode(document.root(), features, "x86-64-v2"));
  EXPECT_THAT(selectCode(document.root(), features, "future").error(),
              HasSubstr("future needs telepathy"));
  EXPECT_THAT(selectCode(document.root(), features, "none").error(),
              HasSubstr("no code of level 'none'"));
  EXPECT_THAT(selectCode(document.root(), CpuFeatures({})).error(),
              HasSubstr("x86-64-v2 needs sse4.2"));
}

TEST(CodeLibrary, LoadsFromSealedMemoryAndFromAFile) {
  PlanDocument document = documentOf(toy::makePlan());
  for (CodeMemory memory : {CodeMemory::any, CodeMemory::sealed, CodeMemory::file}) {
    auto code = CodeLibrary::load(*document.root().code()->Get(0), memory);
    ASSERT_TRUE(code) << code.error();
    EXPECT_TRUE(code->kernel("toy_embed"));
    EXPECT_THAT(code->kernel("toy_nothing").error(), HasSubstr("'toy_nothing' is missing"));
  }
}

// The loader remembers /proc/self/fd/N: a second library must get another N.
TEST(CodeLibrary, TwoLibrariesStayApart) {
  PlanDocument two = documentOf(toy::makePlan(2)), three = documentOf(toy::makePlan(3));
  auto first = CodeLibrary::load(*two.root().code()->Get(0));
  auto second = CodeLibrary::load(*three.root().code()->Get(0));
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first->kernel("toy_scale"), *second->kernel("toy_scale"));
}

TEST(CodeLibrary, RefusesADamagedImage) {
  plan::PlanT plan = toy::makePlan();
  plan.code[0]->image[200] ^= 1;
  PlanDocument document = documentOf(plan);
  EXPECT_THAT(CodeLibrary::load(*document.root().code()->Get(0)).error(),
              HasSubstr("SHA-256 mismatch"));
}

TEST(CpuDevice, NamesAKernelThatTheCodeLacks) {
  plan::PlanT plan = toy::makePlan();
  plan.kernels[2]->symbol = "toy_forgotten";
  auto device = CpuDevice::create(documentOf(plan).root(), 1, "");
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error(), HasSubstr("kernel 'toy_forgotten' is missing"));
}

TEST(Memory, DiscardGivesZeros) {
  Memory memory = Memory::allocate(5 * 4096, "test").value();
  for (auto [offset, count] : {std::pair<uint64_t, uint64_t>{0, 4096}, {100, 50}, {100, 9000}}) {
    std::fill_n(memory.data(), memory.size(), std::byte(1));
    memory.discard(offset, count);
    for (uint64_t i = 0; i < memory.size(); ++i)
      ASSERT_EQ(memory.data()[i], std::byte(i < offset || i >= offset + count)) << i;
  }
  EXPECT_THAT(Memory::allocate(UINT64_MAX / 2, "the arena").error(), HasSubstr("the arena"));
}

} // namespace grok::runtime
