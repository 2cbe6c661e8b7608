// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/FileMapping.h"
#include "tests/frontends/checkpoint/TemporaryFolder.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace grok::checkpoint;

/// Several pages, and a part of one.
static constexpr size_t size = 40001;

static Result<FileMapping> mapFile(const std::string &path) {
  return RegularFile::open(path).and_then(FileMapping::map);
}

TEST(FileMapping, ShowsBytesAndReleasesThem) {
  TemporaryFolder folder;
  folder.write("data", std::string(size, 'a'));
  Result<FileMapping> mapping = mapFile(folder / "data");
  ASSERT_TRUE(mapping) << mapping.error();
  ASSERT_EQ(mapping->bytes().size(), size);
  for (int64_t begin : {-5, 0, 4095, 4096, 40000})
    mapping->release(begin, begin + 9000);
  EXPECT_EQ(std::ranges::count(mapping->bytes(), std::byte('a')), int64_t(size));
  EXPECT_FALSE(mapping->isTorn());
}

TEST(FileMapping, TakesEmptyFiles) {
  TemporaryFolder folder;
  folder.write("empty", "");
  Result<FileMapping> mapping = mapFile(folder / "empty");
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(mapping->bytes().empty());
  mapping->release(0, 100);
  EXPECT_FALSE(mapping->isTorn());
}

TEST(FileMapping, ShowsZerosWhereAFileWasCut) {
  TemporaryFolder folder;
  folder.write("data", std::string(size, 'a'));
  folder.write("other", std::string(size, 'b'));
  Result<FileMapping> mapping = mapFile(folder / "data");
  Result<FileMapping> other = mapFile(folder / "other");
  ASSERT_TRUE(mapping && other);
  std::filesystem::resize_file(folder / "data", 10);
  EXPECT_EQ(std::ranges::count(mapping->bytes(), std::byte('a')), 10);
  EXPECT_TRUE(mapping->isTorn());
  EXPECT_EQ(std::ranges::count(other->bytes(), std::byte('b')), int64_t(size));
  EXPECT_FALSE(other->isTorn());
  // The place in the handler's table is used again, and clean.
  mapping = tl::unexpected(std::string());
  Result<FileMapping> again = mapFile(folder / "other");
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->isTorn());
}

TEST(FileMappingDeathTest, LeavesOtherBusErrorsAlone) {
  TemporaryFolder folder;
  folder.write("data", "x");
  ASSERT_TRUE(mapFile(folder / "data"));
  EXPECT_DEATH(::raise(SIGBUS), "");
}
