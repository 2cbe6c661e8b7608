// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What matrices cost, and which can have fewer bits.
#include "passes/quantization/Storage.h"
#include "passes/quantization/Selection.h"

#include "dialects/plan/SumOrder.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace grok;
using namespace grok::quantization;

namespace {
class StorageTest : public testing::Test {
protected:
  StorageTest() { context.loadDialect<GrokDialect>(); }

  MatrixForm int8(llvm::ArrayRef<int64_t> shape, int64_t groupRows) {
    return {llvm::SmallVector<int64_t>(shape), mlir::IntegerType::get(&context, 8),
            FormatAttr::get(8, groupRows, mlir::BFloat16Type::get(&context))};
  }
  MatrixForm floats(llvm::ArrayRef<int64_t> shape, bool isTable = false) {
    return {llvm::SmallVector<int64_t>(shape), mlir::Float32Type::get(&context), {}, isTable};
  }

  mlir::MLIRContext context;
};
} // namespace

TEST_F(StorageTest, NamesAreReadBack) {
  for (Storage storage :
       {asStored, int8Storage, Storage{4, 32}, Storage{4, 64}, Storage{3, 32}, Storage{3, 64}})
    EXPECT_EQ(storageNamed(nameOf(storage)), storage);
  EXPECT_EQ(storageNamed("int4"), std::nullopt);
}

TEST_F(StorageTest, CountsScalesMultipliersAndPadding) {
  // Grok-1's down: 8 experts of [32768, 6144] in 8 row groups.
  MatrixForm down = int8({8, 32768, 6144}, 4096);
  EXPECT_EQ(down.bytes(), 8 * 6144 * (32768 + 8 * 2));
  EXPECT_EQ(formUnder(down, {4, 32})->bytes(), 8 * 6144 * (16384 + 1024 + 8 * 2));
  EXPECT_EQ(formUnder(down, {3, 64})->bytes(), 8 * 6144 * (12288 + 512 + 8 * 2));
  // 20 columns take two panels of 16; a table's columns are its tokens.
  EXPECT_EQ(int8({64, 20}, 64).bytes(), 32 * (64 + 2));
  EXPECT_EQ(floats({20, 64}, true).bytes(), 32 * 64 * 4);
  EXPECT_EQ(formUnder(floats({20, 64}, true), int8Storage)->bytes(), 32 * (64 + 2));
}

TEST_F(StorageTest, KeepsTheReleasesRowGroups) {
  MatrixForm down = int8({8, 32768, 6144}, 4096);
  EXPECT_EQ(formUnder(down, {4, 32})->format.getGroupRows(), 4096);
  EXPECT_EQ(formUnder(down, int8Storage)->format, down.format);
  EXPECT_EQ(formUnder(floats({96, 64}), int8Storage)->format.getGroupRows(), 96);
}

TEST_F(StorageTest, GivesTablesNoFewerThanEightBits) {
  EXPECT_FALSE(formUnder(floats({512, 64}, true), {4, 32}));
}

TEST_F(StorageTest, AllowsMultipliersWhereEveryExactSumIsMadeOfWholeGroups) {
  int possible = 0;
  for (int64_t rows = 8; rows <= 1024; rows += 8) {
    for (int64_t groups : {1, 2, 3, 4, 8}) {
      if (rows % groups != 0)
        continue;
      for (int64_t group : {32, 64}) {
        int64_t unit = plan::chooseSumOrder(rows, groups, plan::longestIntegerUnit).unit;
        bool isPossible = formUnder(int8({rows, 16}, rows / groups), {4, group}).has_value();
        ASSERT_EQ(isPossible, unit % group == 0) << rows << " rows in " << groups << " groups";
        possible += isPossible;
      }
    }
  }
  EXPECT_GT(possible, 0);
}

TEST_F(StorageTest, ExpectsMoreErrorOfFewerBitsAndOfLargerGroups) {
  MatrixForm matrix = int8({128, 64}, 128), source = floats({128, 64});
  double last = -1;
  for (Storage storage :
       {int8Storage, Storage{4, 32}, Storage{4, 64}, Storage{3, 32}, Storage{3, 64}}) {
    double error = expectedError(matrix, *formUnder(matrix, storage));
    EXPECT_GT(error, last);
    last = error;
    // From floats the grid itself is an error too.
    EXPECT_GT(expectedError(source, *formUnder(source, storage)), error);
  }
  EXPECT_EQ(expectedError(source, source), 0);
}

TEST_F(StorageTest, SelectionIsReadBackFromItsAttribute) {
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  EXPECT_EQ(getSelection(*module), std::nullopt);
  Selection selection;
  selection.weights = "auto";
  selection.isMeasured = true;
  selection.items = {{"table", "table", "int8", -1, -1, 20, 30, 0.5},
                     {"layer2.down.expert1", "down", "int4g32+int8", 2, 1, 5, 6, 0.25}};
  selection.flat = {{"int8", 100, 8.25, 0.125}, {"int3g32", 50, 3.3, 0.75}};
  selection.elements = 1000;
  selection.matrixBytes = 500;
  selection.bytes = 510;
  selection.budget = 600;
  selection.loss = 0.75;
  selection.gap = 1e-9;
  setSelection(*module, selection);
  EXPECT_EQ(getSelection(*module), selection);
  EXPECT_EQ(selection.bits(), 4);
}
