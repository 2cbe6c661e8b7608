// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Paths between placements: every one is executed rank by rank, and ends where
// it should with the fewest collectives.
#include "passes/sharding/Reshard.h"

#include "compiler/interpreter/Ranks.h"
#include "dialects/grok/Slices.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Verifier.h"
#include "gmock/gmock.h"

#include <numeric>

using namespace mlir;
using namespace grok;
using namespace grok::sharding;
using grok::interpreter::Tensor;
using testing::ElementsAre;

namespace {

constexpr int64_t rows = 8, columns = 12;
constexpr std::array<int64_t, 2> gridShape = {2, 3};
constexpr int64_t countRanks = 6;

class ReshardTest : public testing::Test {
protected:
  ReshardTest() : builder(&context) {
    context.loadDialect<GrokDialect, func::FuncDialect>();
    error.emplace(&context, [this](Diagnostic &diagnostic) {
      message = diagnostic.str();
      return success();
    });
  }

  /// Builds @f from a rank's part to its part; false if there is no path.
  bool build(RankedTensorType whole, const Placement &from, const Placement &to) {
    module = ModuleOp::create(builder.getUnknownLoc());
    builder.setInsertionPointToStart(module->getBody());
    auto grid = shard::GridOp::create(builder, builder.getUnknownLoc(), ranksGrid, gridShape);
    RankedTensorType local = typeOf(whole, from);
    function = func::FuncOp::create(builder, builder.getUnknownLoc(), "f",
                                    builder.getFunctionType({local}, {}));
    Block *body = function.addEntryBlock();
    builder.setInsertionPointToStart(body);
    FailureOr<Value> result =
        reshard(builder, builder.getUnknownLoc(), grid, body->getArgument(0), whole, from, to);
    if (failed(result))
      return false;
    func::ReturnOp::create(builder, builder.getUnknownLoc(), *result);
    function.setFunctionType(builder.getFunctionType({local}, {result->getType()}));
    EXPECT_TRUE(succeeded(verify(*module)));
    return true;
  }

  static RankedTensorType typeOf(RankedTensorType whole, const Placement &placement) {
    SmallVector<int64_t> shape(whole.getShape());
    for (auto [extent, axes] : llvm::zip_equal(shape, placement.splits))
      for (shard::GridAxis axis : axes)
        extent = partExtent(extent, gridShape[axis]);
    return RankedTensorType::get(shape, whole.getElementType());
  }

  /// What `rank` has of a matrix of numbers: every part pending is the rank's
  /// share, 1 for the first and 0 for the others.
  static Tensor partOf(const Placement &placement, int64_t rank) {
    const int64_t index[] = {rank / gridShape[1], rank % gridShape[1]};
    int64_t begin[] = {0, 0}, extent[] = {rows, columns};
    for (int dim : {0, 1})
      for (shard::GridAxis axis : placement.splits[dim]) {
        extent[dim] /= gridShape[axis];
        begin[dim] += index[axis] * extent[dim];
      }
    bool isZero =
        llvm::any_of(placement.pending, [&](shard::GridAxis axis) { return index[axis] != 0; });
    Tensor part({extent[0], extent[1]});
    for (int64_t row = 0; row < extent[0]; ++row)
      for (int64_t column = 0; column < extent[1]; ++column)
        part.row(row)[column] =
            isZero ? 0 : static_cast<float>((begin[0] + row) * columns + begin[1] + column);
    return part;
  }

  std::vector<std::string> names() {
    std::vector<std::string> found;
    for (Operation &op : function.getBody().front().without_terminator())
      found.push_back(op.getName().stripDialect().str());
    return found;
  }

  MLIRContext context;
  OpBuilder builder;
  std::optional<ScopedDiagnosticHandler> error;
  std::string message;
  OwningOpRef<ModuleOp> module;
  func::FuncOp function;
};

} // namespace

/// All placements of a matrix over two axes, without and with sums pending.
static std::vector<Placement> allPlacements() {
  std::vector<Placement> all;
  const std::vector<std::array<Axes, 2>> splits = {
      {Axes{}, Axes{}},   {Axes{0}, Axes{}},    {Axes{1}, Axes{}},
      {Axes{}, Axes{0}},  {Axes{}, Axes{1}},    {Axes{0}, Axes{1}},
      {Axes{1}, Axes{0}}, {Axes{}, Axes{0, 1}}, {Axes{}, Axes{1, 0}}};
  for (const auto &split : splits)
    for (const Axes &pending : {Axes{}, Axes{0}, Axes{1}, Axes{0, 1}}) {
      bool isTwice = llvm::any_of(pending, [&](shard::GridAxis axis) {
        return llvm::is_contained(split[0], axis) || llvm::is_contained(split[1], axis);
      });
      // 8 rows do not divide by 3.
      bool isUneven = llvm::is_contained(split[0], 1);
      if (!isTwice && !isUneven)
        all.push_back({{split[0], split[1]}, pending});
    }
  return all;
}

TEST_F(ReshardTest, EveryPathLeadsWhereItShould) {
  auto whole = RankedTensorType::get({rows, columns}, builder.getF32Type());
  int paths = 0;
  for (const Placement &from : allPlacements())
    for (const Placement &to : allPlacements()) {
      if (!to.pending.empty())
        continue;
      ASSERT_TRUE(build(whole, from, to)) << message;
      ++paths;
      std::vector<std::vector<interpreter::Value>> arguments;
      arguments.reserve(countRanks);
      for (int64_t rank = 0; rank < countRanks; ++rank)
        arguments.push_back({partOf(from, rank)});
      auto results = interpreter::interpretRanks(
          function, arguments,
          [](std::string_view) -> interpreter::Result<interpreter::WeightBytes> {
            return tl::unexpected(std::string("no weights"));
          });
      ASSERT_TRUE(results) << results.error();
      for (int64_t rank = 0; rank < countRanks; ++rank) {
        const auto &actual = std::get<Tensor>((*results)[rank].front());
        EXPECT_EQ(actual.shape, partOf(to, rank).shape);
        EXPECT_EQ(actual.values, partOf(to, rank).values);
      }
    }
  EXPECT_EQ(paths, 13 * 7);
}

TEST_F(ReshardTest, TakesTheFewestCollectives) {
  auto whole = RankedTensorType::get({rows, columns}, builder.getF32Type());
  auto path = [&](const Placement &from, const Placement &to) {
    EXPECT_TRUE(build(whole, from, to)) << message;
    return names();
  };
  const Placement none = {{Axes{}, Axes{}}, {}};
  EXPECT_THAT(path(none, none), ElementsAre());
  EXPECT_THAT(path(none, {{Axes{0}, Axes{1}}, {}}), ElementsAre("all_slice", "all_slice"));
  EXPECT_THAT(path({{Axes{}, Axes{0, 1}}, {}}, none), ElementsAre("all_gather"));
  EXPECT_THAT(path({{Axes{}, Axes{0}}, {}}, {{Axes{0}, Axes{}}, {}}), ElementsAre("all_to_all"));
  EXPECT_THAT(path({{Axes{}, Axes{}}, {0, 1}}, none), ElementsAre("all_reduce"));
  EXPECT_THAT(path({{Axes{}, Axes{}}, {0}}, {{Axes{0}, Axes{}}, {}}),
              ElementsAre("reduce_scatter"));
}

TEST_F(ReshardTest, CutsGatheredPadding) {
  auto whole = RankedTensorType::get({rows, 10}, builder.getF32Type());
  ASSERT_TRUE(build(whole, {{Axes{}, Axes{1}}, {}}, {{Axes{}, Axes{}}, {}}));
  EXPECT_THAT(names(), ElementsAre("all_gather", "cut_columns"));
}

TEST_F(ReshardTest, SplitsNothingThatDoesNotDivide) {
  auto whole = RankedTensorType::get({rows, 10}, builder.getF32Type());
  EXPECT_FALSE(build(whole, {{Axes{}, Axes{}}, {}}, {{Axes{}, Axes{1}}, {}}));
  EXPECT_EQ(message, "no collectives lead from one sharding of 'tensor<8x10xf32>' to the other: a "
                     "dimension does not divide");
}

TEST_F(ReshardTest, CutsPaddingOfMatricesAlone) {
  auto whole = RankedTensorType::get({10}, builder.getF32Type());
  EXPECT_FALSE(build(whole, {{Axes{1}}, {}}, {{Axes{}}, {}}));
  EXPECT_EQ(message, "expects parts of 'tensor<10xf32>' without padding, found 'tensor<48xf32>'");
}
