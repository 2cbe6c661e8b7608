// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/KernelCache.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace grok::compiler {

namespace fs = std::filesystem;

class KernelCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    // Tests of one program run in several processes at once.
    folder = fs::path(::testing::TempDir()) / ("grokc-kernel-cache-" + std::to_string(::getpid()));
    fs::remove_all(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  static CompiledKernel kernelOf(llvm::StringRef object) {
    CompiledKernel kernel;
    kernel.object.assign(object.begin(), object.end());
    kernel.scratchBytes = 4096;
    return kernel;
  }
  fs::path onlyEntry() const { return *fs::directory_iterator(folder); }

  fs::path folder;
};

TEST_F(KernelCacheTest, findsWhatWasInserted) {
  KernelCache cache(folder);
  EXPECT_FALSE(cache.find("a"));
  cache.insert("a", kernelOf("object a"));
  cache.insert("b", kernelOf(""));
  auto a = cache.find("a"), b = cache.find("b");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(std::string(a->object.begin(), a->object.end()), "object a");
  EXPECT_EQ(a->scratchBytes, 4096);
  EXPECT_TRUE(b->object.empty());
  EXPECT_FALSE(cache.find("c"));
}

TEST_F(KernelCacheTest, truncatedEntriesAreMisses) {
  KernelCache cache(folder);
  cache.insert("a", kernelOf("object a"));
  for (size_t size = fs::file_size(onlyEntry()); size-- > 0;) {
    fs::resize_file(onlyEntry(), size);
    EXPECT_FALSE(cache.find("a")) << size;
  }
}

TEST_F(KernelCacheTest, everyFlippedByteIsAMiss) {
  KernelCache cache(folder);
  cache.insert("a", kernelOf("object a"));
  fs::path path = onlyEntry();
  for (std::streamoff at = 0, end = std::streamoff(fs::file_size(path)); at < end; ++at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    char byte = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1)).flush();
    EXPECT_FALSE(cache.find("a")) << at;
    file.seekp(at);
    file.put(byte);
  }
  EXPECT_TRUE(cache.find("a"));
}

// An entry renamed to another key's name is right in itself, but not there.
TEST_F(KernelCacheTest, entriesAreBoundToTheirKey) {
  KernelCache cache(folder);
  cache.insert("a", kernelOf("object a"));
  fs::path a = onlyEntry();
  cache.insert("b", kernelOf("object b"));
  for (const fs::directory_entry &entry : fs::directory_iterator(folder))
    if (entry.path() != a)
      fs::copy_file(a, entry.path(), fs::copy_options::overwrite_existing);
  EXPECT_TRUE(cache.find("a"));
  EXPECT_FALSE(cache.find("b"));
}

TEST_F(KernelCacheTest, noFolderHoldsNothing) {
  KernelCache cache("");
  cache.insert("a", kernelOf("object a"));
  EXPECT_FALSE(cache.find("a"));
}

} // namespace grok::compiler
