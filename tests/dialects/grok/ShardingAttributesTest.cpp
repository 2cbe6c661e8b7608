// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Shardings as they are written on command lines.
#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace grok;

namespace {

class ShardingAttributesTest : public testing::Test {
protected:
  ShardingAttributesTest() { context.loadDialect<GrokDialect>(); }

  FailureOr<ShardingAttr> parse(StringRef text, int64_t layers = 4) {
    const ScopedDiagnosticHandler handler(&context, [this](Diagnostic &diagnostic) {
      error = diagnostic.str();
      return success();
    });
    return ShardingAttr::parseText(&context, text, layers,
                                   [&] { return emitError(UnknownLoc::get(&context)); });
  }

  MLIRContext context;
  std::string error;
};

} // namespace

TEST_F(ShardingAttributesTest, ReadsDegreesInAnyOrder) {
  ShardingAttr sharding = parse("pp2.tp4").value();
  EXPECT_EQ(sharding.getTp(), 4);
  EXPECT_EQ(sharding.getEp(), 1);
  EXPECT_EQ(sharding.getPp(), 2);
  EXPECT_EQ(sharding.getDp(), 1);
  EXPECT_EQ(sharding.countRanks(), 8);
  EXPECT_EQ(sharding, parse("tp4.pp2").value());
}

TEST_F(ShardingAttributesTest, WritesWhatItReads) {
  for (const char *text : {"tp4.pp2", "tp2.ep4.pp2.dp3", "dp2", "tp1"})
    EXPECT_EQ(parse(text)->text(), text);
  EXPECT_EQ(parse("ep1.dp1")->text(), "tp1");
}

TEST_F(ShardingAttributesTest, FirstStagesHoldTheRest) {
  EXPECT_EQ(parse("pp3", 3)->getStages(), ArrayRef<int64_t>({1, 1, 1}));
  EXPECT_EQ(parse("pp4", 14)->getStages(), ArrayRef<int64_t>({4, 4, 3, 3}));
}

TEST_F(ShardingAttributesTest, RefusesOtherText) {
  for (const char *text : {"", "tp", "tp0", "tp-1", "sp2", "tp2,pp2", "tp2..pp2", "4"})
    EXPECT_TRUE(failed(parse(text))) << text;
  EXPECT_EQ(error, "'4' in sharding '4' is not tpN, epN, ppN or dpN with a positive N");
  EXPECT_TRUE(failed(parse("tp2.tp2")));
  EXPECT_EQ(error, "sharding 'tp2.tp2' names tp twice");
  EXPECT_TRUE(failed(parse("pp5")));
  EXPECT_EQ(error, "sharding 'pp5' has 5 stages for 4 layers");
  EXPECT_TRUE(failed(parse("tp1048576.dp2")));
}
