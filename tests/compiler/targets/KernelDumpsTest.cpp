// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/KernelDumps.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

namespace grok::compiler {

namespace fs = std::filesystem;

class KernelDumps : public ::testing::Test {
protected:
  KernelDumps() {
    fs::remove_all(folder);
    fs::create_directory(folder);
  }
  ~KernelDumps() override { fs::remove_all(folder); }

  static void print(llvm::raw_ostream &os) { os << "a kernel"; }
  static std::string read(const fs::path &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  const fs::path folder = fs::temp_directory_path() / ("kernel-dumps-" + std::to_string(getpid()));
};

TEST_F(KernelDumps, foldersAreMade) {
  const fs::path inner = folder / "a" / "b";
  ASSERT_TRUE(makeDumpFolder(inner));
  writeDump(inner, "k.ll", print);
  EXPECT_EQ(read(inner / "k.ll"), "a kernel");
}

TEST_F(KernelDumps, aFileIsNoFolder) {
  writeDump(folder, "k.ll", print);
  const std::string inside = folder / "k.ll" / "b";
  auto made = makeDumpFolder(inside);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), "dump folder " + inside + ": Not a directory");
}

TEST_F(KernelDumps, noFolderNoDump) {
  ASSERT_TRUE(makeDumpFolder(""));
  bool isPrinted = false;
  auto note = [&](llvm::raw_ostream &) { isPrinted = true; };
  writeDump("", "k.ll", note);
  writeDump(folder / "missing", "k.ll", note); // does not end the process either
  EXPECT_FALSE(isPrinted);
  EXPECT_TRUE(fs::is_empty(folder));
}

} // namespace grok::compiler
