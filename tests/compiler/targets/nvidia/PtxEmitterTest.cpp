// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/PtxEmitter.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/SourceMgr.h"
#include <gtest/gtest.h>
#include <sstream>

using namespace grok::compiler;

namespace {

constexpr const char *fence = "fence.";

// The instructions for memory of a kernel that adds to a counter in that order between
// a store and a load, in the order of the PTX.
std::vector<std::string> instructionsAround(const std::string &ordering, const std::string &chip) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic error;
  auto module = llvm::parseAssemblyString(
      "define ptx_kernel void @k(ptr addrspace(1) %counter, ptr addrspace(1) %data) {\n"
      "  store i32 7, ptr addrspace(1) %data\n"
      "  %n = atomicrmw add ptr addrspace(1) %counter, i32 1 syncscope(\"device\") " +
          ordering +
          "\n"
          "  %there = getelementptr i32, ptr addrspace(1) %data, i32 %n\n"
          "  %x = load i32, ptr addrspace(1) %there\n"
          "  store i32 %x, ptr addrspace(1) %counter\n"
          "  ret void\n"
          "}\n",
      error, context);
  EXPECT_TRUE(module) << error.getMessage().str();
  PtxEmitter emitter(*nvidiaChipNamed(chip));
  emitter.optimize(*module);
  std::vector<std::string> found;
  std::istringstream lines(emitter.ptx(*module));
  for (std::string line; std::getline(lines, line);)
    for (const std::string name : {fence, "atom.", "ld.global", "st.global"})
      if (line.find(name) != std::string::npos) {
        EXPECT_TRUE(name != fence || line.find(".gpu;") != std::string::npos) << line;
        found.emplace_back(name);
      }
  return found;
}

using Names = std::vector<std::string>;

} // namespace

// A block that counts itself in has written what others read, and reads what they wrote.
TEST(PtxEmitter, AtomicsKeepTheirOrder) {
  for (const char *chip : {"sm_80", "sm_90a", "sm_100a"}) {
    EXPECT_EQ(instructionsAround("acq_rel", chip),
              (Names{"st.global", fence, "atom.", fence, "ld.global", "st.global"}));
    EXPECT_EQ(instructionsAround("release", chip),
              (Names{"st.global", fence, "atom.", "ld.global", "st.global"}));
    EXPECT_EQ(instructionsAround("acquire", chip),
              (Names{"st.global", "atom.", fence, "ld.global", "st.global"}));
    EXPECT_EQ(instructionsAround("monotonic", chip),
              (Names{"st.global", "atom.", "ld.global", "st.global"}));
  }
}
