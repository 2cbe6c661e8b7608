// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Functions of IR on run-time values: dispatch, observation, levels, errors.
#include "compiler/interpreter/Interpreter.h"

#include "Tensors.h"
#include "dialects/grok/GrokDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

using mlir::MLIRContext;
using mlir::ModuleOp;
using mlir::Operation;
using mlir::OwningOpRef;
namespace func = mlir::func;
using namespace grok::interpreter;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

class InterpreterTest : public testing::Test {
protected:
  InterpreterTest() {
    context.loadDialect<grok::GrokDialect, func::FuncDialect, mlir::arith::ArithDialect>();
    weights = [](std::string_view path) -> Result<WeightBytes> {
      if (path == "ones")
        return bytesOf(std::vector<float>{1, 1});
      if (path == "codes")
        return quantisedBytes({1, 2, 3, 4}, {0.5f, 2.0f});
      if (path == "swap of 1 and 2")
        return bytesOf(std::vector<float>{0, 1, 2, 0});
      return tl::unexpected(std::string("no such tensor"));
    };
  }

  template <typename... Arguments>
  Result<std::vector<Value>> run(const char *text, Arguments... arguments) {
    module = mlir::parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    std::vector<Value> values;
    (values.emplace_back(std::move(arguments)), ...);
    return interpret(*module->getOps<func::FuncOp>().begin(), std::move(values), weights, observer);
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  WeightSource weights;
  Observer observer;
};

const char *const linearText = R"mlir(
func.func @f(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %w = grok.weight "codes" : tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16>>
  %y = grok.linear %x, %w : tensor<?x2xf32>, tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16>> -> tensor<?x2xf32>
  %z = grok.add %y, %x : tensor<?x2xf32> loc("sum")
  return %z : tensor<?x2xf32>
}
)mlir";

} // namespace

TEST_F(InterpreterTest, RunsOpsOnStoredWeights) {
  // W = [[0.5, 4], [1.5, 8]].
  auto results = run(linearText, tensor({2, 2}, {1, 0, 1, 1}));
  ASSERT_TRUE(results) << results.error();
  EXPECT_THAT(std::get<Tensor>(results->front()).values, ElementsAre(1.5, 4, 3, 13));
}

TEST_F(InterpreterTest, ReadsWeightsThroughDequantize) {
  auto results = run(R"mlir(
func.func @f(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %w = grok.weight "codes" : tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16>>
  %f = grok.dequantize %w : tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16>> -> tensor<2x2xf32>
  %y = grok.linear %x, %f : tensor<?x2xf32>, tensor<2x2xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
)mlir",
                     tensor({1, 2}, {1, 1}));
  ASSERT_TRUE(results) << results.error();
  EXPECT_THAT(std::get<Tensor>(results->front()).values, ElementsAre(2, 12));
}

TEST_F(InterpreterTest, TellsTheObserverEveryOp) {
  std::vector<std::string> places;
  observer = [&](Operation &op, llvm::ArrayRef<const Value *> results) {
    places.push_back(placeOf(op));
    EXPECT_EQ(results.size(), 1u);
  };
  ASSERT_TRUE(run(linearText, tensor({1, 2}, {1, 0})));
  EXPECT_THAT(places, ElementsAre("grok.weight", "grok.linear", "sum"));
}

TEST_F(InterpreterTest, RunsFusedOpsAsWhatTheyStandFor) {
  std::vector<std::string> names;
  observer = [&](Operation &op, llvm::ArrayRef<const Value *>) {
    names.push_back(op.getName().stripDialect().str());
  };
  auto results = run(R"mlir(
func.func @f(%h: tensor<?x2xf32>, %a: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %s = grok.weight "ones" : tensor<2xf32>
  %sum, %normed = grok.fused_residual_norm %h, %a, %s, %s {eps = 3.5 : f64} : tensor<?x2xf32>, tensor<2xf32>
  return %sum, %normed : tensor<?x2xf32>, tensor<?x2xf32>
}
)mlir",
                     tensor({1, 2}, {2.25, 3}), tensor({1, 2}, {3, 4}));
  ASSERT_TRUE(results) << results.error();
  // rms(3, 4) with eps 3.5 = (0.75, 1); the sum is (3, 4) again.
  EXPECT_THAT(std::get<Tensor>((*results)[0]).values, ElementsAre(3, 4));
  EXPECT_THAT(std::get<Tensor>((*results)[1]).values, ElementsAre(0.75, 1));
  EXPECT_THAT(names, ElementsAre("weight", "rms_norm", "add", "rms_norm", "fused_residual_norm"));
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*module))); // nothing is left behind
}

TEST_F(InterpreterTest, PassesCacheAndStepThrough) {
  auto results = run(R"mlir(
func.func @f(%k: tensor<?x2xf32>, %t: tensor<?xi32>, %s: !grok.step, %c: !grok.cache<1 x 1 x 2, f32>)
    -> (tensor<?x2xf32>, !grok.cache<1 x 1 x 2, f32>) {
  %c1 = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : <1 x 1 x 2, f32>, tensor<?x2xf32>, tensor<?xi32>
  %o = grok.attention %k, %c1, %s {layer = 0 : i64, multiplier = 1.0 : f64, softcap = 30.0 : f64} : tensor<?x2xf32>, <1 x 1 x 2, f32>
  %l = grok.logit_rows %o, %s : tensor<?x2xf32>
  return %l, %c1 : tensor<?x2xf32>, !grok.cache<1 x 1 x 2, f32>
}
)mlir",
                     tensor({1, 2}, {5, 6}), indices({1}, {9}), stepFrom(0, 1), Cache::empty(1));
  ASSERT_TRUE(results) << results.error();
  EXPECT_THAT(std::get<Tensor>((*results)[0]).values, ElementsAre(5, 6));
  EXPECT_THAT(std::get<Cache>((*results)[1]).layers[0]->at(0).keys, ElementsAre(5, 6));
}

TEST_F(InterpreterTest, QuantisesWhatAnInt8CacheHolds) {
  auto results =
      run(R"mlir(
func.func @f(%k: tensor<?x4xf32>, %t: tensor<?xi32>, %s: !grok.step, %c: !grok.cache<1 x 2 x 2, i8>)
    -> !grok.cache<1 x 2 x 2, i8> {
  %c1 = grok.cache_write %c, %k, %k, %t, %s {layer = 0 : i64} : <1 x 2 x 2, i8>, tensor<?x4xf32>, tensor<?xi32>
  return %c1 : !grok.cache<1 x 2 x 2, i8>
}
)mlir",
          tensor({1, 4}, {127, -2.5f, 0, 254}), indices({1}, {9}), stepFrom(0, 1), Cache::empty(1));
  ASSERT_TRUE(results) << results.error();
  // Scales 1 and 2, ties to even.
  EXPECT_THAT(std::get<Cache>((*results)[0]).layers[0]->at(0).keys, ElementsAre(127, -2, 0, 254));
  EXPECT_THAT(std::get<Cache>((*results)[0]).layers[0]->at(0).values, ElementsAre(127, -2, 0, 254));
}

TEST_F(InterpreterTest, NamesTheOpThatFails) {
  auto results = run(R"mlir(
func.func @f(%t: tensor<?xi32>) -> tensor<?x1xf32> {
  %w = grok.weight "ones" : tensor<2x1xf32>
  %h = grok.embed %t, %w {multiplier = 1.0 : f64} : tensor<?xi32>, tensor<2x1xf32> -> tensor<?x1xf32> loc("embed")
  return %h : tensor<?x1xf32>
}
)mlir",
                     indices({1}, {2}));
  EXPECT_EQ(results.error(), "embed: token 2 of row 0 is outside the vocabulary of 2");
}

TEST_F(InterpreterTest, RefusesWeightsThatAreMissingOrOfOtherSize) {
  const char *const missing = R"mlir(
func.func @f() -> tensor<2xf32> {
  %w = grok.weight "none" : tensor<2xf32> loc("norm")
  return %w : tensor<2xf32>
}
)mlir";
  EXPECT_EQ(run(missing).error(), "norm: weight 'none': no such tensor");
  const char *const wrong = R"mlir(
func.func @f() -> tensor<3xf32> {
  %w = grok.weight "ones" : tensor<3xf32> loc("norm")
  return %w : tensor<3xf32>
}
)mlir";
  EXPECT_EQ(run(wrong).error(), "norm: weight 'ones': expects 12 bytes and 0 of scales for "
                                "tensor<3xf32>, found 8 and 0");
}

TEST_F(InterpreterTest, RefusesAnUnknownCodebook) {
  auto results = run(R"mlir(
func.func @f() -> tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16, codebook = "nf4">> {
  %w = grok.weight "codes" : tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16, codebook = "nf4">>
  return %w : tensor<2x2xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16, codebook = "nf4">>
}
)mlir");
  EXPECT_THAT(results.error(), HasSubstr("codebook 'nf4' is unknown"));
}

TEST_F(InterpreterTest, RefusesOtherDialects) {
  auto results = run(R"mlir(
func.func @f(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %y = arith.addf %x, %x : tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
)mlir",
                     tensor({1, 2}, {1, 2}));
  EXPECT_THAT(results.error(), HasSubstr("'arith.addf' is not an op of a model"));
}

TEST_F(InterpreterTest, RefusesRowsThatDisagree) {
  auto results =
      run(R"mlir(
func.func @f(%x: tensor<?x1xf32>, %s: !grok.step) -> tensor<?x1xf32> {
  %l = grok.logit_rows %x, %s : tensor<?x1xf32>
  %y = grok.add %x, %l : tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}
)mlir",
          tensor({2, 1}, {1, 2}), Step{.positions = {0, 1}, .sequences = {0, 0}, .logitRows = {1}});
  EXPECT_THAT(results.error(), HasSubstr("grok.add: expects equal row counts, found 2 and 1"));
}

TEST_F(InterpreterTest, ChecksArguments) {
  const char *const text = R"mlir(
func.func @f(%x: tensor<?x2xf32>, %s: !grok.step, %c: !grok.cache<1 x 1 x 2, f32>) {
  return
}
)mlir";
  Cache cache = Cache::empty(1);
  EXPECT_TRUE(run(text, tensor({1, 2}, {1, 2}), stepFrom(0, 1), cache));
  EXPECT_THAT(run(text, tensor({1, 2}, {1, 2})).error(), HasSubstr("expects 3 arguments, found 1"));
  auto refused = [&](Value x, Value step, Value cache) {
    return run(text, std::move(x), std::move(step), std::move(cache)).error();
  };
  Tensor row = tensor({1, 2}, {1, 2});
  EXPECT_THAT(refused(tensor({1, 3}, {1, 2, 3}), stepFrom(0, 1), cache),
              HasSubstr("argument 0 is not a tensor<?x2xf32>"));
  EXPECT_THAT(refused(tensor({1, 2}, {1}), stepFrom(0, 1), cache), HasSubstr("argument 0"));
  EXPECT_THAT(refused(indices({1}, {1}), stepFrom(0, 1), cache), HasSubstr("argument 0"));
  EXPECT_THAT(refused(row, stepFrom(0, 2), cache), HasSubstr("argument 1 has 2 rows, expects 1"));
  EXPECT_THAT(refused(row, stepFrom(-1, 1), cache), HasSubstr("argument 1 is not a !grok.step"));
  EXPECT_THAT(refused(row, stepFrom(int64_t(1) << 40, 1), cache), HasSubstr("argument 1"));
  Step outside = stepFrom(0, 1);
  outside.logitRows = {1};
  EXPECT_THAT(refused(row, outside, cache), HasSubstr("argument 1 is not a !grok.step"));
  EXPECT_THAT(refused(row, stepFrom(0, 1), Cache::empty(2)), HasSubstr("argument 2"));
  EXPECT_THAT(refused(row, stepFrom(0, 1), row), HasSubstr("argument 2"));
}

TEST_F(InterpreterTest, RefusesADeclaration) {
  EXPECT_THAT(run("func.func private @f()").error(), HasSubstr("expects one block"));
}
