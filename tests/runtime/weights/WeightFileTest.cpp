// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weight files of another plan, damaged ones, and none.
#include "runtime/weights/WeightFile.h"
#include "runtime/device/cpu/ThreadPool.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>

namespace grok::runtime {

using testing::HasSubstr;

class WeightFileTest : public testing::Test {
protected:
  const plan::Layout &layout() const { return *document.root().layouts()->Get(0); }
  Result<WeightFile> map() const { return WeightFile::map(artifact.path, layout()); }
  void store(std::span<const std::byte> bytes) const { toy::writeFile(weightPath, bytes); }

  toy::Artifact artifact;
  PlanDocument document = readPlan(artifact.path + "/model.plan").value();
  std::string weightPath = artifact.path + "/" + layout().file()->str();
  std::vector<std::byte> bytes = toy::weightFile();
};

TEST_F(WeightFileTest, MapsTensors) {
  auto file = map();
  ASSERT_TRUE(file) << file.error();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensor(0)) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<const float *>(file->tensor(0))[16 + 3], toy::tableAt(1, 3));
}

TEST_F(WeightFileTest, RefusesOtherSizes) {
  for (size_t size : {size_t(0), size_t(4095), bytes.size() - 1}) {
    store(std::span(bytes).first(size));
    EXPECT_THAT(map().error(), HasSubstr("the plan expects " + std::to_string(bytes.size())));
  }
  bytes.push_back(std::byte(0));
  store(bytes);
  EXPECT_THAT(map().error(), HasSubstr("belongs to another plan"));
}

TEST_F(WeightFileTest, RefusesTheFileOfAnotherPlan) {
  bytes[5] ^= std::byte(1);
  store(bytes);
  EXPECT_THAT(map().error(), HasSubstr("header's SHA-256 differs"));
}

TEST_F(WeightFileTest, FullCheckFindsOneBit) {
  auto pool = ThreadPool::create(2).value();
  auto file = map();
  EXPECT_TRUE(file->checkAll(*pool));
  bytes.back() ^= std::byte(1);
  store(bytes);
  auto damaged = map();
  ASSERT_TRUE(damaged) << "the cheap check does not read data";
  EXPECT_THAT(damaged->checkAll(*pool).error(), HasSubstr("tensor 'table' does not match"));
}

TEST_F(WeightFileTest, NamesAMissingFile) {
  std::filesystem::remove(weightPath);
  EXPECT_THAT(map().error(), HasSubstr(weightPath + ": cannot open"));
  std::filesystem::create_directory(weightPath);
  EXPECT_THAT(map().error(), HasSubstr("not a regular file"));
}

TEST_F(WeightFileTest, ReadOnlyFolder) {
  using std::filesystem::perms;
  std::filesystem::permissions(artifact.path, perms::owner_read | perms::owner_exec);
  EXPECT_TRUE(map());
  std::filesystem::permissions(artifact.path, perms::owner_all);
}

TEST(WeightFile, PlanWithoutWeights) {
  plan::PlanT plan = toy::makePlan();
  plan.layouts[0]->file.clear();
  toy::Artifact artifact(plan);
  PlanDocument document = readPlan(artifact.path + "/model.plan").value();
  const plan::Layout &layout = *document.root().layouts()->Get(0);
  EXPECT_THAT(WeightFile::map(artifact.path, layout).error(), HasSubstr("the plan has no weights"));
  auto zeros = WeightFile::zeros(layout);
  ASSERT_TRUE(zeros);
  EXPECT_EQ(reinterpret_cast<const float *>(zeros->tensor(0))[7], 0.f);
}

} // namespace grok::runtime
