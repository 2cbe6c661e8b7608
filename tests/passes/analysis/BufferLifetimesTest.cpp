// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Lifetimes and takeovers of one small bucket.
#include "passes/analysis/BufferLifetimes.h"

#include "dialects/grok/GrokDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace grok::plan;

static constexpr StringRef source = R"mlir(
plan.kernel @make "make" {} operands 1
plan.kernel @map "map" {} operands 2
plan.program @main {
  plan.bucket rows 2 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    %c = plan.buffer "c" : <tensor<?x32xf32>>
    %unused = plan.buffer "unused" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 2> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 1, max = 2> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "3" (%b, %c) tiles <per_row = 1, max = 2> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x32xf32>>
  }
}
)mlir";

TEST(BufferLifetimesTest, RunFromFirstToLastUse) {
  MLIRContext context;
  context.loadDialect<grok::GrokDialect, PlanDialect>();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(source, &context);
  ASSERT_TRUE(module);
  BucketOp bucket;
  module->walk([&](BucketOp op) { bucket = op; });
  BufferLifetimes lifetimes(bucket);
  ASSERT_EQ(lifetimes.get().size(), 4u);
  const BufferLifetime &a = lifetimes.get()[0], &b = lifetimes.get()[1], &c = lifetimes.get()[2];

  // Positions count the four buffers too.
  EXPECT_EQ(std::pair(a.first, a.last), std::pair(int64_t(4), int64_t(5)));
  EXPECT_EQ(std::pair(b.first, b.last), std::pair(int64_t(5), int64_t(6)));
  EXPECT_EQ(std::pair(c.first, c.last), std::pair(int64_t(6), int64_t(6)));
  EXPECT_EQ(lifetimes.get()[3].first, -1);
  EXPECT_EQ(a.bytes, 128);
  EXPECT_EQ(c.bytes, 256);

  EXPECT_EQ(a.takesOver, -1);
  EXPECT_EQ(b.takesOver, 0);
  EXPECT_EQ(c.takesOver, -1); // wider rows
  EXPECT_EQ(lifetimes.getLargestLiveBytes(), 128 + 256);
}
