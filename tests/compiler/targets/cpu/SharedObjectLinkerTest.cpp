// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/SharedObjectLinker.h"

#include "compiler/targets/cpu/CpuLevels.h"
#include "compiler/targets/cpu/ObjectEmitter.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/SourceMgr.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace grok::compiler {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

static llvm::SmallVector<char, 0> objectOf(const char *ir) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(ir, diagnostic, context);
  ObjectEmitter emitter(*cpuLevelNamed("x86-64-v2"));
  emitter.optimize(*module);
  return emitter.object(*module);
}

static llvm::StringRef asText(const llvm::SmallVector<char, 0> &object) {
  return {object.data(), object.size()};
}

TEST(SharedObjectLinker, loopsNeverBecomeLibraryCalls) {
  auto object = objectOf(R"(
    define void @clear(ptr %p, i64 %n) {
    entry:
      br label %loop
    loop:
      %i = phi i64 [0, %entry], [%next, %loop]
      %at = getelementptr i8, ptr %p, i64 %i
      store i8 0, ptr %at
      %next = add i64 %i, 1
      %more = icmp ult i64 %next, %n
      br i1 %more, label %loop, label %exit
    exit:
      ret void
    })");
  EXPECT_TRUE(importsOf(asText(object)).empty());
  EXPECT_TRUE(linkSharedObject({asText(object)}));
}

TEST(SharedObjectLinker, importsAreRefusedByName) {
  auto object = objectOf("declare float @sinf(float)\n"
                         "define float @f(float %x) {\n"
                         "  %y = call float @sinf(float %x)\n  ret float %y\n}");
  EXPECT_THAT(importsOf(asText(object)), ElementsAre("sinf"));
  auto image = linkSharedObject({asText(object)});
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error(), HasSubstr("undefined symbol: sinf"));
  EXPECT_THAT(image.error(), ::testing::Not(HasSubstr("\n")));
}

TEST(SharedObjectLinker, worksAgainAfterAFailureAndFromManyThreads) {
  auto object = objectOf("define i32 @one() {\n  ret i32 1\n}");
  EXPECT_FALSE(linkSharedObject({llvm::StringRef("no object")}));
  auto expected = linkSharedObject({asText(object)});
  ASSERT_TRUE(expected);
  std::vector<std::vector<uint8_t>> images(4);
  std::vector<std::thread> threads;
  threads.reserve(images.size());
  for (auto &image : images)
    threads.emplace_back([&] { image = *linkSharedObject({asText(object)}); });
  for (std::thread &thread : threads)
    thread.join();
  for (const auto &image : images)
    EXPECT_EQ(image, *expected);
}

} // namespace grok::compiler
