// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/output/NpyWriter.h"
#include "runtime/output/OrderedText.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

using namespace grok::runtime;
using testing::HasSubstr;
using testing::IsEmpty;
namespace files = std::filesystem;

/// A new folder for each test.
class OutputFile : public testing::Test {
protected:
  OutputFile() {
    char pattern[] = "/tmp/grok-output-XXXXXX";
    folder = mkdtemp(pattern);
  }
  ~OutputFile() override { files::remove_all(folder); }

  std::string path(const std::string &name) const { return folder + "/" + name; }
  std::string read(const std::string &name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto &entry : files::directory_iterator(folder))
      result.push_back(entry.path().filename());
    return result;
  }

  std::string folder;
};

TEST_F(OutputFile, AppearsWithCommitAlone) {
  {
    PendingFile file = PendingFile::create(path("a")).value();
    ASSERT_TRUE(file.append("hello"));
    EXPECT_FALSE(files::exists(path("a")));
    ASSERT_TRUE(file.commit());
  }
  EXPECT_EQ(read("a"), "hello");
  EXPECT_THAT(names(), testing::ElementsAre("a"));
}

TEST_F(OutputFile, LeavesNothingWithoutCommit) {
  {
    PendingFile file = PendingFile::create(path("a")).value();
    ASSERT_TRUE(file.append("hello"));
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(OutputFile, ReplacesAFile) {
  ASSERT_TRUE(writeFile(path("a"), "old and long"));
  ASSERT_TRUE(writeFile(path("a"), "new"));
  EXPECT_EQ(read("a"), "new");
}

TEST_F(OutputFile, OverwritesWithinTheFile) {
  PendingFile file = PendingFile::create(path("a")).value();
  ASSERT_TRUE(file.append("hello"));
  ASSERT_TRUE(file.writeAt(1, std::as_bytes(std::span("E", 1))));
  ASSERT_TRUE(file.append("!"));
  ASSERT_TRUE(file.commit());
  EXPECT_EQ(read("a"), "hEllo!");
}

TEST_F(OutputFile, RefusesWhatIsNoFile) {
  EXPECT_THAT(PendingFile::create("/dev/null").error(), HasSubstr("/dev/null, not a regular file"));
  EXPECT_THAT(PendingFile::create(folder).error(), HasSubstr("not a regular file"));
  EXPECT_THAT(PendingFile::create("").error(), HasSubstr("not a file name"));
  EXPECT_THAT(PendingFile::create(path("no/such")).error(), HasSubstr("No such file"));
}

TEST_F(OutputFile, NpyHoldsRowsAsNumPyReadsThem) {
  NpyWriter writer = NpyWriter::create(path("x.npy"), 3).value();
  ASSERT_TRUE(writer.append(std::vector<float>{1, 2, 3}));
  ASSERT_TRUE(writer.append(std::vector<float>{4, 5, -6.5}));
  ASSERT_TRUE(writer.commit());
  const std::string content = read("x.npy");
  // Format 1.0: magic, version, uint16 length of a header padded to 64 bytes.
  ASSERT_EQ(content.size(), 128 + 6 * sizeof(float));
  EXPECT_EQ(content.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_THAT(content.substr(10, 118),
              testing::StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  "));
  EXPECT_EQ(content[127], '\n');
  float last = 0;
  std::memcpy(&last, content.data() + content.size() - sizeof last, sizeof last);
  EXPECT_EQ(last, -6.5f);
}

TEST_F(OutputFile, NpyOfNoRows) {
  NpyWriter writer = NpyWriter::create(path("x.npy"), 3).value();
  ASSERT_TRUE(writer.commit());
  EXPECT_THAT(read("x.npy"), HasSubstr("'shape': (0, 3)"));
}

TEST(OrderedText, WritesTextsInOrder) {
  std::string written;
  OrderedText texts(3, [&](std::string_view text) -> Result<void> {
    written += text;
    return {};
  });
  ASSERT_TRUE(texts.append(1, "b1"));
  ASSERT_TRUE(texts.append(0, "a1"));
  EXPECT_EQ(written, "a1") << "the first is written as it is made";
  ASSERT_TRUE(texts.append(1, "b2"));
  ASSERT_TRUE(texts.append(2, "c1"));
  ASSERT_TRUE(texts.finish(2));
  EXPECT_EQ(written, "a1");
  ASSERT_TRUE(texts.finish(0));
  EXPECT_EQ(written, "a1b1b2") << "the second has had its turn";
  ASSERT_TRUE(texts.append(1, "b3"));
  ASSERT_TRUE(texts.finish(1));
  EXPECT_EQ(written, "a1b1b2b3c1");
}

TEST(OrderedText, PassesErrorsOn) {
  OrderedText texts(2, [](std::string_view) -> Result<void> { return fail("closed"); });
  EXPECT_EQ(texts.append(0, "a").error(), "closed");
  EXPECT_TRUE(texts.append(1, "b"));
  EXPECT_EQ(texts.finish(0).error(), "closed");
}
