// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Parts of stored weights: every element is worth what it is in the whole.
#include "compiler/interpreter/WeightSlices.h"

#include "compiler/interpreter/Arguments.h"
#include "tests/compiler/interpreter/Tensors.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

#include <numeric>

using namespace mlir;
using namespace grok;
using namespace grok::interpreter;
using testing::ElementsAre;

namespace {

class WeightSlicesTest : public testing::Test {
protected:
  WeightSlicesTest() { context.loadDialect<GrokDialect>(); }

  WeightOp parse(const std::string &attributes, const std::string &type) {
    module = parseSourceString<ModuleOp>(
        "%w = grok.weight \"w\" {" + attributes + "} : " + type + "\n", &context);
    return cast<WeightOp>(module->getBody()->front());
  }

  static std::vector<float> valuesOf(const Matrix &matrix) {
    int64_t rows = std::accumulate(matrix.shape.begin(), matrix.shape.end() - 1, int64_t(1),
                                   std::multiplies<>());
    std::vector<float> values(rows * matrix.columns());
    for (int64_t row = 0; row < rows; ++row)
      matrix.read(row, 0, matrix.columns(), Rounding::f32, values.data() + row * matrix.columns());
    return values;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

} // namespace

/// 1, 2, 3, ...
template <typename T> static WeightBytes numbers(size_t count) {
  std::vector<T> values(count);
  std::iota(values.begin(), values.end(), T(1));
  return bytesOf(values);
}

TEST_F(WeightSlicesTest, CutsColumns) {
  WeightOp op = parse("full = tensor<2x4xf32>, slices = [#grok.slice<dim = 1, parts = 2, "
                      "axis = \"tp\">]",
                      "tensor<2x2xf32>");
  WeightBytes bytes = bytesOf<float>({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 1, 1, 2})), ElementsAre(3, 4, 7, 8));
  // Four ranks share two parts.
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 1, 1, 4})), ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 1, 2, 4})), ElementsAre(3, 4, 7, 8));
}

TEST_F(WeightSlicesTest, AllRanksOfAStageCutOneDimension) {
  WeightOp op = parse("full = tensor<1x4xf32>, slices = [#grok.slice<dim = 1, parts = 4, "
                      "axis = \"ep.tp\">]",
                      "tensor<1x1xf32>");
  WeightBytes bytes = bytesOf<float>({1, 2, 3, 4});
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 2, 1, 2})), ElementsAre(2));
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {1, 2, 0, 2})), ElementsAre(3));
}

TEST_F(WeightSlicesTest, PadsTheLastPartWithZeros) {
  WeightOp op = parse("full = tensor<17x1xf32>, slices = [#grok.slice<dim = 0, parts = 2, "
                      "axis = \"tp\">]",
                      "tensor<16x1xf32>");
  std::vector<float> expected(16);
  expected[0] = 17;
  EXPECT_EQ(valuesOf(*sliceWeight(op, numbers<float>(17), {0, 1, 1, 2})), expected);
}

TEST_F(WeightSlicesTest, RepeatsTheScalesOfSmallerGroups) {
  // Two experts of 4 rows in groups of 2; parts of 4 / 4 rows in groups of 1.
  WeightOp op = parse("full = tensor<2x4x1xi8, #grok.format<bits = 8, group_rows = 2, scale = "
                      "bf16>>, slices = [#grok.slice<dim = 0, parts = 2, axis = \"ep\">, "
                      "#grok.slice<dim = 1, parts = 4, axis = \"tp\">]",
                      "tensor<1x1x1xi8, #grok.format<bits = 8, group_rows = 1, scale = bf16>>");
  WeightBytes bytes = quantisedBytes({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 4, 8});
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 2, 1, 4})), ElementsAre(2 * 1));
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {0, 2, 2, 4})), ElementsAre(3 * 2));
  EXPECT_THAT(valuesOf(*sliceWeight(op, bytes, {1, 2, 3, 4})), ElementsAre(8 * 8));
}

TEST_F(WeightSlicesTest, PadsCodesWithTheirZeroPoint) {
  WeightOp op = parse("full = tensor<18x1xi8, #grok.format<bits = 8, group_rows = 18, scale = "
                      "bf16, zero_point = 5>>, slices = [#grok.slice<dim = 0, parts = 4, axis = "
                      "\"tp\">]",
                      "tensor<16x1xi8, #grok.format<bits = 8, group_rows = 16, scale = bf16, "
                      "zero_point = 5>>");
  std::vector<int8_t> codes(18, 6);
  WeightBytes bytes = quantisedBytes(codes, {2});
  EXPECT_EQ(valuesOf(*sliceWeight(op, bytes, {0, 1, 0, 4})), std::vector<float>(16, 2));
  std::vector<float> expected(16);
  expected[0] = expected[1] = 2;
  EXPECT_EQ(valuesOf(*sliceWeight(op, bytes, {0, 1, 1, 4})), expected);
  // Beyond the end altogether.
  EXPECT_EQ(valuesOf(*sliceWeight(op, bytes, {0, 1, 3, 4})), std::vector<float>(16));
}

TEST_F(WeightSlicesTest, RefusesBytesOfAnotherTensor) {
  WeightOp op = parse("full = tensor<4x1xf32>, slices = [#grok.slice<dim = 0, parts = 2, "
                      "axis = \"tp\">]",
                      "tensor<2x1xf32>");
  EXPECT_THAT(sliceWeight(op, bytesOf<float>({1, 2}), {}).error(),
              testing::HasSubstr("expects 16 bytes"));
}
