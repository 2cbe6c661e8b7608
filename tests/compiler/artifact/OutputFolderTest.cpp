// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folders appear whole, are found again by an identical run, and leave no
// rubbish.
#include "compiler/artifact/OutputFolder.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

using namespace grok;
using namespace grok::compiler;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {
class OutputFolderTest : public ::testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("output-folder-" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  /// Work of which something is left behind.
  void interrupt(std::string_view identity) const {
    auto output = OutputFolder::create(folder / "artifact", identity);
    ASSERT_TRUE(output);
    std::ofstream(output->path() + "/weights") << identity;
    std::ofstream(output->path() + "/model.plan") << "written last";
    output->keep();
  }
  size_t entries() const {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  }

  fs::path folder;
};
} // namespace

static std::string readFile(const fs::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(OutputFolderTest, appearsOnCommitOnly) {
  {
    auto output = OutputFolder::create(folder / "artifact", "work");
    ASSERT_TRUE(output);
    EXPECT_FALSE(fs::exists(folder / "artifact"));
  }
  EXPECT_TRUE(fs::is_empty(folder));
  auto output = OutputFolder::create((folder / "artifact/").string());
  ASSERT_TRUE(output);
  std::ofstream(output->path() + "/model.plan") << "new";
  ASSERT_TRUE(output->commit());
  EXPECT_EQ(readFile(folder / "artifact/model.plan"), "new");
}

TEST_F(OutputFolderTest, olderArtifactIsReplacedOtherFoldersAreNot) {
  fs::create_directories(folder / "old");
  std::ofstream(folder / "old/model.plan") << "old";
  auto output = OutputFolder::create(folder / "old", "work");
  ASSERT_TRUE(output);
  std::ofstream(output->path() + "/model.plan") << "new";
  ASSERT_TRUE(output->commit());
  EXPECT_EQ(readFile(folder / "old/model.plan"), "new");
  EXPECT_EQ(entries(), 1u);
  fs::create_directories(folder / "home/photos");
  auto refused = OutputFolder::create(folder / "home");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr("not an artifact"));
}

TEST_F(OutputFolderTest, identicalRunFindsWhatWasLeft) {
  interrupt("work");
  EXPECT_EQ(entries(), 1u);
  auto output = OutputFolder::create(folder / "artifact", "work");
  ASSERT_TRUE(output);
  EXPECT_EQ(readFile(output->path() + "/weights"), "work");
  EXPECT_FALSE(fs::exists(output->path() + "/model.plan"));
}

TEST_F(OutputFolderTest, otherRunRemovesWhatWasLeft) {
  interrupt("work");
  fs::create_directories(folder / ".artifact.partial-mine.of.other.name");
  auto output = OutputFolder::create(folder / "artifact", "other work");
  ASSERT_TRUE(output);
  EXPECT_TRUE(fs::is_empty(output->path()));
  EXPECT_EQ(entries(), 2u); // this run's folder, and the one that is not ours
}

TEST_F(OutputFolderTest, runsAtTheSameTimeKeepApart) {
  auto first = OutputFolder::create(folder / "artifact", "work");
  auto second = OutputFolder::create(folder / "artifact", "work");
  auto other = OutputFolder::create(folder / "artifact", "other work");
  ASSERT_TRUE(first && second && other);
  EXPECT_NE(first->path(), second->path());
  EXPECT_TRUE(fs::exists(first->path()));
  EXPECT_TRUE(fs::exists(second->path()));
  std::ofstream(second->path() + "/model.plan") << "second";
  std::ofstream(first->path() + "/model.plan") << "first";
  ASSERT_TRUE(second->commit());
  ASSERT_TRUE(first->commit());
  EXPECT_EQ(readFile(folder / "artifact/model.plan"), "first");
}
