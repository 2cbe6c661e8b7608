// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The module built from a description: types, attributes, locations, errors.
#include "frontends/graph/BuildGraph.h"

#include "dialects/grok/GrokDialect.h"
#include "frontends/graph/CheckpointTensors.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "gmock/gmock.h"

using namespace mlir;
using namespace grok;
using namespace grok::graph;
using testing::HasSubstr;

static ModelConfig modelOf(const std::string &set) {
  return findModel(std::string(GROKC_SOURCE_DIR "/tests/inputs/") + set).value().config;
}

static std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

class BuildGraphTest : public testing::Test {
protected:
  OwningOpRef<ModuleOp> build(const ModelConfig &config, const checkpoint::TensorList &tensors,
                              GraphOptions options = {}) {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
      return success();
    });
    return buildGraph(context, config, tensors, options);
  }

  // The op of type OpType whose location has this name.
  template <typename OpType> OpType opAt(ModuleOp module, StringRef name) {
    OpType found;
    module.walk([&](OpType op) {
      if (cast<NameLoc>(op.getLoc()).getName() == name)
        found = op;
    });
    return found;
  }

  MLIRContext context;
  std::string errors;
};

TEST_F(BuildGraphTest, UnrollsTheLayersAsPlainOps) {
  ModelConfig config = modelOf("b4x2");
  auto module = build(config, expectedTensors(config));
  ASSERT_TRUE(module) << errors;
  auto func = module->lookupSymbol<func::FuncOp>("step");
  ASSERT_TRUE(func);
  EXPECT_EQ(textOf(func.getFunctionType()),
            "(tensor<?xi32>, !grok.step, !grok.cache<3 x 2 x 32, f32>) -> "
            "(tensor<?x768xf32>, !grok.cache<3 x 2 x 32, f32>)");
  // A layer: 12 weights, 4 norms, 4 linears, 2 ropes, cache write, attention,
  // 2 adds, route, 3 expert matmuls, gelu, combine; outside: table, embed, norm
  // and its weight, logit rows, unembed, return.
  EXPECT_EQ(std::distance(func.front().begin(), func.front().end()), 3 * 32 + 7);
}

TEST_F(BuildGraphTest, StatesTheDescription) {
  ModelConfig config = modelOf("a6x1");
  auto module = build(config, expectedTensors(config));
  ASSERT_TRUE(module) << errors;
  auto model = module->getOperation()->getAttrOfType<DictionaryAttr>("grok.model");
  ASSERT_TRUE(model);
  EXPECT_EQ(model.getAs<StringAttr>("name").getValue(), "a6x1");
  EXPECT_EQ(model.getAs<IntegerAttr>("ffn_size").getInt(), 256);
  EXPECT_EQ(model.getAs<FloatAttr>("embedding_multiplier").getValueAsDouble(), 1.37);
  EXPECT_EQ(module->getOperation()->getAttrOfType<StringAttr>("grok.numerics").getValue(), "f32");
}

TEST_F(BuildGraphTest, TakesWeightTypesFromTheTensors) {
  ModelConfig config = modelOf("b4x2");
  auto int8 = build(config, expectedTensors(config, WeightForm::int8));
  auto floating = build(config, expectedTensors(config, WeightForm::floating));
  ASSERT_TRUE(int8 && floating) << errors;
  EXPECT_EQ(textOf(opAt<WeightOp>(*int8, "layer2/moe/linear_1").getType()),
            "tensor<4x344x64xi8, #grok.format<bits = 8, group_rows = 172, scale = bf16>>");
  EXPECT_EQ(textOf(opAt<WeightOp>(*int8, "layer2/moe/linear").getType()),
            "tensor<4x64x344xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>");
  EXPECT_EQ(textOf(opAt<WeightOp>(*floating, "layer2/moe/linear").getType()),
            "tensor<4x64x344xbf16>");
  EXPECT_EQ(textOf(opAt<WeightOp>(*floating, "layer2/router").getType()), "tensor<64x4xf32>");
}

TEST_F(BuildGraphTest, RoundsWhereTheSpecificationDoesInBf16) {
  ModelConfig config = modelOf("a6x1");
  auto module = build(config, expectedTensors(config),
                      {.numerics = Numerics::bf16, .cacheElement = CacheElement::bf16});
  ASSERT_TRUE(module) << errors;
  EXPECT_EQ(textOf(opAt<EmbedOp>(*module, "embed").getType()), "tensor<?x96xbf16>");
  EXPECT_EQ(textOf(opAt<RopeOp>(*module, "layer0/multi_head_attention/key/rope").getType()),
            "tensor<?x16xbf16>");
  EXPECT_EQ(textOf(opAt<CacheWriteOp>(*module, "layer0/multi_head_attention/cache").getType()),
            "!grok.cache<2 x 1 x 16, bf16>");
  EXPECT_EQ(textOf(opAt<RouteOp>(*module, "layer0/router").getGates().getType()),
            "tensor<?x2xf32>");
  EXPECT_EQ(textOf(opAt<ExpertMatmulOp>(*module, "layer0/moe/linear").getType()),
            "tensor<?x2x256xbf16>");
  auto down = opAt<ExpertMatmulOp>(*module, "layer0/moe/linear_1");
  EXPECT_EQ(textOf(down.getType()), "tensor<?x2x96xf32>");
  EXPECT_TRUE(down.getBf16Weight());
  EXPECT_EQ(textOf(opAt<CombineOp>(*module, "layer0/moe/combine").getType()), "tensor<?x96xbf16>");
  EXPECT_EQ(textOf(opAt<UnembedOp>(*module, "unembed").getType()), "tensor<?x512xbf16>");
}

TEST_F(BuildGraphTest, BuildsTheReleasedModel) {
  ModelConfig config = findPreset("grok-1").value();
  auto module = build(config, expectedTensors(config));
  ASSERT_TRUE(module) << errors;
  EXPECT_EQ(textOf(opAt<WeightOp>(*module, "layer63/moe/linear_1").getType()),
            "tensor<8x32768x6144xi8, #grok.format<bits = 8, group_rows = 4096, scale = bf16>>");
}

TEST_F(BuildGraphTest, NamesAMissingTensor) {
  ModelConfig config = modelOf("a6x1");
  checkpoint::TensorList tensors = expectedTensors(config);
  std::erase_if(tensors, [](const auto &info) { return info.name.ends_with("_1/router/w"); });
  EXPECT_FALSE(build(config, tensors));
  EXPECT_EQ(
      errors,
      "model 'a6x1' expects tensor 'transformer/decoder_layer_1/router/w' in the checkpoint\n");
}

TEST_F(BuildGraphTest, NamesAWrongShape) {
  ModelConfig config = modelOf("a6x1");
  checkpoint::TensorList tensors = expectedTensors(config);
  tensors[1].shape = {95};
  EXPECT_FALSE(build(config, tensors));
  EXPECT_THAT(errors, HasSubstr("'language_model/rms_norm/scale' of shape [96], found [95]"));
}

TEST_F(BuildGraphTest, RefusesBrokenRowGroups) {
  ModelConfig config = modelOf("a6x1");
  checkpoint::TensorList tensors = expectedTensors(config);
  for (auto &info : tensors)
    if (info.name.ends_with("decoder_layer_0/moe/linear/w"))
      info.scaleShape[1] = 7;
  EXPECT_FALSE(build(config, tensors));
  EXPECT_THAT(errors, HasSubstr("decoder_layer_0/moe/linear/w' with whole row groups"));
}
