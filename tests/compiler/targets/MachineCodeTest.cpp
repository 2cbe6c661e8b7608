// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/MachineCode.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::compiler {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MachineCode : public ::testing::TestWithParam<std::array<const char *, 3>> {
protected:
  std::unique_ptr<llvm::TargetMachine> machine =
      machineFor(GetParam()[0], GetParam()[1], GetParam()[2]);
  llvm::LLVMContext context;

  std::unique_ptr<llvm::Module> optimized(const char *text) {
    llvm::SMDiagnostic error;
    auto module = llvm::parseAssemblyString(text, error, context);
    EXPECT_TRUE(module) << error.getMessage().str();
    optimizeKernels(*machine, *module);
    return module;
  }
};

} // namespace

TEST_P(MachineCode, ProductsAndSumsRoundApart) {
  auto module = optimized("define float @k(float %a, float %b, float %c) {\n"
                          "  %y = call float @llvm.fmuladd.f32(float %a, float %b, float %c)\n"
                          "  ret float %y\n"
                          "}\n"
                          "declare float @llvm.fmuladd.f32(float, float, float)\n");
  llvm::SmallVector<char, 0> text =
      emitKernels(*machine, *module, llvm::CodeGenFileType::AssemblyFile);
  const std::string code(text.begin(), text.end());
  EXPECT_THAT(code, HasSubstr("mul"));
  EXPECT_THAT(code, Not(HasSubstr("fma")));
  EXPECT_THAT(code, Not(HasSubstr("vfm")));
}

TEST_P(MachineCode, LoopsStayLoops) {
  auto module = optimized("define void @k(ptr %to, i64 %n) {\n"
                          "entry:\n"
                          "  br label %loop\n"
                          "loop:\n"
                          "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n"
                          "  %at = getelementptr i8, ptr %to, i64 %i\n"
                          "  store i8 0, ptr %at\n"
                          "  %next = add i64 %i, 1\n"
                          "  %more = icmp ult i64 %next, %n\n"
                          "  br i1 %more, label %loop, label %exit\n"
                          "exit:\n"
                          "  ret void\n"
                          "}\n");
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  EXPECT_THAT(text, Not(HasSubstr("memset")));
  // One store of one byte: neither unrolled nor made of vectors.
  EXPECT_EQ(llvm::StringRef(text).count("store i8 0"), 1u) << text;
  EXPECT_EQ(llvm::StringRef(text).count("store "), 1u) << text;
}

INSTANTIATE_TEST_SUITE_P(Targets, MachineCode,
                         ::testing::Values(std::array{"x86_64-unknown-linux-gnu", "x86-64-v3", ""},
                                           std::array{"nvptx64-nvidia-cuda", "sm_90a", ""}));

} // namespace grok::compiler
