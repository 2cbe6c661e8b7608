// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/cpu/TestKernels.h"

#include "llvm/Object/ELFObjectFile.h"
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Two kernels for each level.
static const auto allObjects = static_cast<int64_t>(2 * cpuLevels().size());

class CpuKernels : public ::testing::Test {
protected:
  void SetUp() override {
    folder = fs::path(::testing::TempDir()) /
             ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  static CpuCode compile(const CpuOptions &options) {
    std::vector<NamedKernelSpec> kernels = {{"linear", int8Linear(256, 64, 1)}, {"norm", norm(96)}};
    auto code = compileCpuKernels(kernels, allLevels(), options);
    EXPECT_TRUE(code) << code.error();
    return *code;
  }
  static bool sameImages(const CpuCode &a, const CpuCode &b) {
    for (size_t i = 0; i < a.levels.size(); ++i)
      if (a.levels[i].image != b.levels[i].image)
        return false;
    return a.scratchBytes == b.scratchBytes;
  }

  fs::path folder;
};

// A last block that is not whole would write beyond the scratch of its chunk.
TEST(CpuLevels, chunksAreWholeBlocks) {
  for (const llvm::ArrayRef<CpuLevel> levels : {cpuLevels(), expandedLevels()})
    for (const CpuLevel &level : levels) {
      const TileShape &tiles = level.tiles;
      EXPECT_EQ(tiles.integerRows % tiles.manyRows.rows, 0) << level.name;
      EXPECT_EQ(tiles.integerRows % tiles.fewRows.rows, 0) << level.name;
      constexpr int64_t tileRows = 16; // of an AMX tile
      EXPECT_EQ(tiles.hasTiles ? tiles.integerRows % tileRows : 0, 0) << level.name;
    }
}

TEST_F(CpuKernels, everyLevelHasAnImageAndFeatures) {
  CpuCode code = compile({});
  ASSERT_EQ(code.levels.size(), 4u);
  EXPECT_EQ(code.levels[2].level, "x86-64-v4");
  EXPECT_THAT(code.levels[0].features, ::testing::Contains("sse4.2"));
  EXPECT_THAT(code.levels[1].features, ::testing::IsSupersetOf({"avx2", "fma"}));
  EXPECT_THAT(code.levels[2].features, ::testing::IsSupersetOf({"avx2", "avx512f", "avx512vnni"}));
  EXPECT_EQ(code.levels[3].level, "x86-64-v4-amx");
  EXPECT_THAT(code.levels[3].features, ::testing::IsSupersetOf({"avx512vnni", "amx-int8"}));
  EXPECT_EQ(code.objectsCompiled, allObjects);
  EXPECT_GT(code.scratchBytes[0], 0);
}

TEST_F(CpuKernels, imagesImportNothingAndExportTheirKernels) {
  for (const CpuLevelCode &level : compile({}).levels) {
    llvm::StringRef bytes(reinterpret_cast<const char *>(level.image.data()), level.image.size());
    auto object = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(bytes, "image"));
    ASSERT_TRUE(bool(object));
    auto *elf = llvm::cast<llvm::object::ELF64LEObjectFile>(object->get());
    std::vector<std::string> exported;
    for (const llvm::object::ELFSymbolRef symbol : elf->getDynamicSymbolIterators()) {
      EXPECT_FALSE(*symbol.getFlags() & llvm::object::SymbolRef::SF_Undefined);
      exported.push_back(symbol.getName()->str());
    }
    EXPECT_THAT(exported, ::testing::UnorderedElementsAre("linear", "norm"));
    for (const auto &entry : llvm::cantFail(elf->getELFFile().dynamicEntries()))
      EXPECT_NE(entry.d_tag, llvm::ELF::DT_NEEDED);
    for (const auto &segment : llvm::cantFail(elf->getELFFile().program_headers()))
      EXPECT_NE(segment.p_flags & (llvm::ELF::PF_W | llvm::ELF::PF_X),
                unsigned(llvm::ELF::PF_W | llvm::ELF::PF_X));
  }
}

TEST_F(CpuKernels, bytesDependOnNothingButTheInput) {
  CpuOptions one, many, cached;
  one.threads = 1;
  many.threads = 7;
  cached.cacheDir = folder;
  CpuCode first = compile(one);
  EXPECT_TRUE(sameImages(first, compile(many)));
  EXPECT_TRUE(sameImages(first, compile(cached)));
  CpuCode again = compile(cached);
  EXPECT_TRUE(sameImages(first, again));
  EXPECT_EQ(again.objectsFromCache, allObjects);
  EXPECT_EQ(again.objectsCompiled, 0);
}

TEST_F(CpuKernels, corruptCacheEntriesAreMadeAgain) {
  CpuOptions cached;
  cached.cacheDir = folder;
  CpuCode first = compile(cached);
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  for (const fs::directory_entry &entry : fs::directory_iterator(folder)) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(entry.file_size() / 2));
    file.put('\x55');
    file.put('\xaa');
  }
  CpuCode repaired = compile(cached);
  EXPECT_EQ(repaired.objectsCompiled, allObjects);
  EXPECT_TRUE(sameImages(first, repaired));
  EXPECT_EQ(compile(cached).objectsFromCache, allObjects);
}

TEST_F(CpuKernels, uselessCacheFolderIsNoError) {
  CpuOptions cached;
  cached.cacheDir = "/proc/no/such/folder";
  EXPECT_EQ(compile(cached).objectsCompiled, allObjects);
}

TEST_F(CpuKernels, dumpsEveryStage) {
  CpuOptions options;
  options.dumpDir = folder;
  compile(options);
  for (const char *name : {"linear.x86-64-v2.mlir", "linear.x86-64-v3.ll", "norm.x86-64-v4.s"})
    EXPECT_GT(fs::file_size(folder / name), 100u) << name;
}

TEST_F(CpuKernels, badInputIsOneLine) {
  auto errorOf = [](const std::vector<NamedKernelSpec> &kernels,
                    const std::vector<std::string> &levels) {
    auto code = compileCpuKernels(kernels, levels, {});
    return code ? std::string() : code.error();
  };
  EXPECT_EQ(errorOf({{"k", norm(16)}}, {"x86-64-v9"}), "CPU level 'x86-64-v9' is unknown");
  EXPECT_EQ(errorOf({{"k k", norm(16)}}, {}), "kernel symbol 'k k' is not an identifier");
  EXPECT_EQ(errorOf({{"k", norm(16)}, {"k", norm(32)}}, {}), "kernel symbol 'k' is used twice");
  EXPECT_THAT(errorOf({{"k", norm(0)}}, {}), HasSubstr("emb is 0"));
}

} // namespace grok::compiler::testing
