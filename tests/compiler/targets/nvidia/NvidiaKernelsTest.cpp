// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/NvidiaKernels.h"
#include <filesystem>
#include <gtest/gtest.h>

using namespace grok::compiler;

static NamedKernelSpec norm(int64_t emb = 6144) {
  KernelSpec spec;
  spec.op = KernelOp::rmsNorm;
  spec.emb = emb;
  spec.eps = 1e-5;
  spec.maxRows = 8;
  return {"rms_norm_0", spec};
}

static const std::vector<std::string> everyChip = {"sm_80", "sm_90a", "sm_100a"};

TEST(NvidiaKernels, MakesPtxForEveryChip) {
  auto code = compileNvidiaKernels(norm(), everyChip, {});
  ASSERT_TRUE(code) << code.error();
  for (const NvidiaChipCode &chip : code->chips) {
    const NvidiaKernel &kernel = chip.kernels.front();
    EXPECT_NE(kernel.ptx.find(".target " + chip.chip), std::string::npos);
    EXPECT_NE(kernel.ptx.find(".entry rms_norm_0("), std::string::npos);
    EXPECT_EQ(kernel.shape.maxBlocks, 8);
    EXPECT_EQ(kernel.cubin.empty(), code->assembler.empty());
  }
}

TEST(NvidiaKernels, SameBytesWithManyThreadsAndFromTheCache) {
  NvidiaOptions options;
  options.assemble = false;
  options.cacheDir = testing::TempDir() + "/nvidia-cache";
  std::filesystem::remove_all(options.cacheDir);
  options.threads = 1;
  std::vector<NamedKernelSpec> kernels = {norm(64), norm(128)};
  kernels[1].symbol = "rms_norm_1";
  auto first = compileNvidiaKernels(kernels, everyChip, options);
  options.threads = 4;
  auto second = compileNvidiaKernels(kernels, everyChip, options);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->kernelsFromCache, 6);
  for (size_t chip = 0; chip < everyChip.size(); ++chip)
    for (size_t i = 0; i < kernels.size(); ++i) {
      EXPECT_EQ(first->chips[chip].kernels[i].ptx, second->chips[chip].kernels[i].ptx);
      EXPECT_EQ(first->chips[chip].kernels[i].shape, second->chips[chip].kernels[i].shape);
    }
}

TEST(NvidiaKernels, RefusesWhatGpusCannotDo) {
  NamedKernelSpec literal = norm();
  literal.spec.numerics = Numerics::bf16;
  auto code = compileNvidiaKernels(literal, everyChip, {});
  ASSERT_FALSE(code);
  EXPECT_NE(code.error().find("--numerics=fast or f32"), std::string::npos);
  EXPECT_EQ(compileNvidiaKernels(norm(), {"sm_75"}, {}).error(), "GPU target 'sm_75' is unknown");
}
