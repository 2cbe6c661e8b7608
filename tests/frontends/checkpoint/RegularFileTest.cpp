// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/RegularFile.h"
#include "tests/frontends/checkpoint/TemporaryFolder.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

using namespace grok::checkpoint;
using testing::HasSubstr;

static std::string refusal(const std::string &path) {
  Result<RegularFile> file = RegularFile::open(path);
  return file ? "accepted" : file.error();
}

TEST(RegularFile, ReadsThroughLinks) {
  TemporaryFolder folder;
  folder.write("data", "0123456789");
  std::filesystem::create_symlink("data", folder / "link");
  Result<RegularFile> file = RegularFile::open(folder / "link");
  ASSERT_TRUE(file) << file.error();
  std::string text(4, ' ');
  EXPECT_TRUE(file->readAt(3, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "3456");
  EXPECT_FALSE(file->readAt(8, std::as_writable_bytes(std::span(text))));
}

TEST(RegularFile, RefusesEverythingElse) {
  TemporaryFolder folder;
  folder.makeFolder("sub");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("nothing", folder / "dangling");
  EXPECT_THAT(refusal(folder / "sub"), HasSubstr("is a folder, not a regular file"));
  EXPECT_THAT(refusal(folder / "fifo"), HasSubstr("is a FIFO, not a regular file"));
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("is a device or socket"));
  EXPECT_THAT(refusal(folder / "dangling"), HasSubstr("is a symbolic link to nothing"));
  EXPECT_THAT(refusal(folder / "missing"), HasSubstr("cannot be opened"));
}

TEST(RegularFile, NoticesChanges) {
  TemporaryFolder folder;
  folder.write("data", "0123456789");
  Result<RegularFile> file = RegularFile::open(folder / "data");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->checkUnchanged(file->identity()));
  auto earlier = std::filesystem::last_write_time(folder / "data") - std::chrono::seconds(1);
  std::filesystem::last_write_time(folder / "data", earlier);
  Result<void> rewritten = file->checkUnchanged(file->identity());
  ASSERT_FALSE(rewritten);
  EXPECT_THAT(rewritten.error(), HasSubstr("was written or replaced while in use"));
  std::filesystem::resize_file(folder / "data", 3);
  Result<void> shrunk = file->checkUnchanged(file->identity());
  ASSERT_FALSE(shrunk);
  EXPECT_THAT(shrunk.error(), HasSubstr("changed from 10 to 3 bytes"));
}
