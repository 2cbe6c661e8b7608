// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Services.h"

#include <gtest/gtest.h>

namespace grok::compiler {

static NamedKernelSpec norm(int64_t emb, double eps, int64_t parts) {
  NamedKernelSpec kernel{"norm", {}};
  kernel.spec.op = KernelOp::residualNorm;
  kernel.spec.emb = emb;
  kernel.spec.eps = eps;
  kernel.spec.parts = parts;
  return kernel;
}

static const std::vector<std::string> everyChip = {"sm_80", "sm_90a", "sm_100a"};

// One for all norms of the plan, whatever the parts of their sums.
TEST(ExchangeNormService, isThatOfTheNorms) {
  NamedKernelSpec other = norm(16, 1, 1);
  other.spec.op = KernelOp::rmsNorm;
  const auto made =
      exchangeNormService({norm(6144, 1e-5, 1), other, norm(6144, 1e-5, 8)}, everyChip, 512);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->spec.op, KernelOp::exchangeNorm);
  EXPECT_EQ(made->spec.emb, 6144);
  EXPECT_EQ(made->spec.eps, 1e-5);
  EXPECT_EQ(made->spec.maxRows, 2); // of 16384 numbers
}

TEST(ExchangeNormService, takesNoMoreRowsThanSteps) {
  const auto made = exchangeNormService({norm(96, 1e-5, 1)}, everyChip, 64);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->spec.maxRows, 64);
}

TEST(ExchangeNormService, isNotThereForNormsThatDiffer) {
  EXPECT_FALSE(exchangeNormService({}, everyChip, 512));
  EXPECT_FALSE(exchangeNormService({norm(96, 1e-5, 1), norm(96, 1e-6, 1)}, everyChip, 512));
  EXPECT_FALSE(exchangeNormService({norm(96, 1e-5, 1), norm(192, 1e-5, 1)}, everyChip, 512));
}

// Four rows have to fit in a block's shared memory on every chip: 163 KiB on sm_80.
TEST(ExchangeNormService, isNotThereForWideRows) {
  EXPECT_FALSE(exchangeNormService({norm(12000, 1e-5, 1)}, everyChip, 512));
  EXPECT_TRUE(exchangeNormService({norm(12000, 1e-5, 1)}, {{"sm_90a"}}, 512));
}

} // namespace grok::compiler
