// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The table of factors: complete, consistent, and what ShardingInterface says.
#include "dialects/grok/Factors.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

#include <set>

using namespace mlir;
using namespace grok;
using testing::ElementsAre;
using utils::IteratorType;

namespace {

class FactorsTest : public testing::Test {
protected:
  FactorsTest() { context.loadDialect<GrokDialect, func::FuncDialect>(); }

  /// The first op of a function with these arguments.
  Operation *parse(const std::string &arguments, const std::string &op) {
    module = parseSourceString<ModuleOp>(
        "func.func @f(" + arguments + ") {\n" + op + "\nreturn\n}\n", &context);
    return &cast<func::FuncOp>(module->getBody()->front()).getBody().front().front();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

} // namespace

TEST_F(FactorsTest, EveryOpHasAnEntryAndEveryEntryAnOp) {
  std::set<std::string> entries, ops;
  for (const OpFactors &entry : allFactors())
    entries.insert("grok." + entry.op.str());
  for (RegisteredOperationName name : context.getRegisteredOperations())
    if (name.getDialectNamespace() == "grok") {
      ops.insert(name.getStringRef().str());
      EXPECT_TRUE(name.hasInterface<shard::ShardingInterface>()) << name.getStringRef().str();
    }
  EXPECT_EQ(entries, ops);
}

TEST_F(FactorsTest, LettersOfAnEntryAgree) {
  for (const OpFactors &entry : allFactors()) {
    const std::string all = (entry.operands + "," + entry.results).str();
    for (StringRef set : {entry.summed, entry.tp, entry.ep, entry.padded})
      for (char letter : set)
        EXPECT_NE(all.find(letter), std::string::npos) << entry.op.str() << " " << letter;
    // What is summed is in no result.
    for (char letter : entry.summed)
      EXPECT_FALSE(entry.results.contains(letter)) << entry.op.str() << " " << letter;
  }
}

TEST_F(FactorsTest, LoopsOfAProduct) {
  auto op = cast<shard::ShardingInterface>(
      parse("%x: tensor<?x8xf32>, %w: tensor<8x6xf32>",
            "%y = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>"));
  EXPECT_THAT(op.getLoopIteratorTypes(),
              ElementsAre(IteratorType::parallel, IteratorType::reduction, IteratorType::parallel));
  EXPECT_THAT(op.getReductionLoopIteratorKinds(), ElementsAre(shard::ReductionKind::Sum));
  SmallVector<AffineMap> maps = op.getIndexingMaps();
  ASSERT_EQ(maps.size(), 3u);
  AffineExpr t, i, o;
  bindDims(&context, t, i, o);
  EXPECT_EQ(maps[0], AffineMap::get(3, 0, {t, i}, &context));
  EXPECT_EQ(maps[1], AffineMap::get(3, 0, {i, o}, &context));
  EXPECT_EQ(maps[2], AffineMap::get(3, 0, {t, o}, &context));
}

TEST_F(FactorsTest, ANormNeedsItsRow) {
  auto op = cast<shard::ShardingInterface>(
      parse("%x: tensor<?x8xf32>, %s: tensor<8xf32>",
            "%y = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>"));
  EXPECT_THAT(op.getLoopIteratorTypes(),
              ElementsAre(IteratorType::parallel, IteratorType::reduction));
  EXPECT_THAT(op.getReductionLoopIteratorKinds(), ElementsAre(shard::ReductionKind::Generic));
}

TEST_F(FactorsTest, RanksOfAnOpChooseItsEntry) {
  Operation *op = parse("%x: tensor<?x2x6xf32>, %w: tensor<4x6x8xf32>, %e: tensor<?x2xi32>",
                        "%y = grok.expert_matmul %x, %w, %e : tensor<?x2x6xf32>, "
                        "tensor<4x6x8xf32>, tensor<?x2xi32> -> tensor<?x2x8xf32>");
  FailureOr<FactorLetters> letters = lettersOf(op);
  ASSERT_TRUE(succeeded(letters));
  EXPECT_THAT(letters->operands, ElementsAre("tki", "xio", "tk"));
  EXPECT_EQ(letters->loops(), "tkixo");
  EXPECT_TRUE(letters->maySplit('x', "ep"));
  EXPECT_FALSE(letters->maySplit('x', "tp"));
  EXPECT_TRUE(letters->maySplit('i', "tp"));
  EXPECT_TRUE(letters->maySplit('i', "ep")) << "hidden columns over all ranks";
  EXPECT_FALSE(letters->maySplit('k', "tp"));
}

TEST_F(FactorsTest, WildcardsAreTheSameInEveryTensor) {
  Operation *op = parse("%x: tensor<?x2x6xf32>",
                        "%y = grok.gelu_gate %x, %x : tensor<?x2x6xf32> -> tensor<?x2x6xf32>");
  EXPECT_THAT(lettersOf(op)->operands, ElementsAre("ABC", "ABC"));
  EXPECT_TRUE(lettersOf(op)->maySplit('C', "tp"));
  EXPECT_TRUE(lettersOf(op)->isPadded('C'));
}

TEST_F(FactorsTest, AFactorHasOneExtent) {
  Operation *op = parse("%x: tensor<?x8xf32>, %w: tensor<8x6xf32>",
                        "%y = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x6xf32> -> "
                        "tensor<?x6xf32>");
  EXPECT_TRUE(succeeded(verifyExtents(op)));
  op->getResult(0).setType(
      RankedTensorType::get({ShapedType::kDynamic, 5}, Float32Type::get(&context)));
  std::string error;
  const ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(verifyExtents(op)));
  EXPECT_EQ(error, "'grok.linear' op expects one extent of factor 'o', found 6 and 5 in result "
                   "'tensor<?x5xf32>'");
}
