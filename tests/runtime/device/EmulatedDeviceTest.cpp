// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/EmulatedDevice.h"
#include "runtime/device/Kind.h"
#include "runtime/plan/PlanReader.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <gmock/gmock.h>

namespace grok::runtime {

using testing::HasSubstr;

TEST(EmulatorSettings, ReadsWhatIsGiven) {
  EmulatorSettings settings =
      EmulatorSettings::parse("schedule=greedy,seed=7,blocks=3,check=off").value();
  EXPECT_EQ(settings.schedule, grokScheduleGreedyWarp);
  EXPECT_EQ(settings.seed, 7u);
  EXPECT_EQ(settings.blocks, 3u);
  EXPECT_FALSE(settings.checkAccesses);
  EXPECT_TRUE(EmulatorSettings::parse("").value().checkAccesses);
}

TEST(EmulatorSettings, NamesWhatIsWrong) {
  for (const char *text : {"blocks=0", "seed=-1", "schedule=fair", "check", "speed=9"})
    EXPECT_THAT(EmulatorSettings::parse(text).error(), HasSubstr(text)) << text;
}

TEST(EmulatedDevice, AsksForATranslation) {
  plan::PlanT plan = toy::makePlan();
  plan.gpu_code[0]->emulation.clear();
  PlanDocument document = parsePlan(toy::fileOf(plan), "toy").value();
  EXPECT_THAT(EmulatedDevice::create(document.root(), 1, "").error(), HasSubstr("--emulate"));
}

TEST(DeviceKind, HasAName) {
  for (const char *name : {"auto", "cpu", "cuda", "emulated"})
    EXPECT_EQ(nameOf(deviceKindNamed(name).value()), name);
  EXPECT_FALSE(deviceKindNamed("tpu"));
}

} // namespace grok::runtime
