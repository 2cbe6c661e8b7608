// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan file says what its module says, and passes FlatBuffers' verifier.
#include "compiler/artifact/PlanWriter.h"
#include "compiler/artifact/PlanReading.h"
#include "dialects/plan/PlanDialect.h"
#include "runtime/plan/plan_generated.h"

#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

static constexpr const char *header = R"mlir(
module attributes {
    grok.model = {name = "tiny", vocab_size = 32 : i64, emb_size = 16 : i64, num_layers = 2 : i64},
    grok.numerics = "f32", plan.max_context = 64 : i64, plan.max_step_rows = 8 : i64,
    plan.page = {tokens = 16 : i64, bytes = 2048 : i64, layer_bytes = 1024 : i64, kv = "bf16"}} {
  plan.layout @cpu {
    plan.tensor @scale source "scale" packing "vector16" logical [16] : tensor<16xf32>
    plan.tensor @w source "w" packing "panel16.k1" logical [16, 16] {unit = 16 : i64} : tensor<1x16x16x1xf32>
  }
  plan.kernel @rms_norm_0 "rms_norm" {emb = 16 : i64, eps = 1.0e-5 : f64, numerics = "f32"} operands 3
  plan.kernel @embed_0 "embed" {emb = 16 : i64, multiplier = 2.0 : f64, numerics = "f32", tile_panels = 4 : i64,
      vocab = 32 : i64, weight = {element = "f32", groups = 1 : i64, slices = 1 : i64, unit = 16 : i64}} operands 2
  plan.program @main {
    plan.bucket rows 8 arena 1024 {
      %w = plan.weight @cpu::@w : <tensor<1x16x16x1xf32>>
      %s = plan.weight @cpu::@scale : <tensor<16xf32>>
      %h = plan.buffer "h" at 0 : <tensor<?x16xf32>>
      %x = plan.buffer "x" at 512 : <tensor<?x16xf32>>
      plan.launch @embed_0 "embed"(%w, %h) tiles <per_row = 1, max = 8>
          uses [<read, whole>, <write, rows>] : !plan.buffer<tensor<1x16x16x1xf32>>, !plan.buffer<tensor<?x16xf32>>
      plan.launch @rms_norm_0 "layer1.rms_norm"(%h, %s, %x) tiles <per_row = 1, max = 8>
          uses [<read, rows>, <read, whole>, <write, rows>] {layer = 1 : i64}
          : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<16xf32>>, !plan.buffer<tensor<?x16xf32>>
)mlir";
static constexpr const char *footer = "}}}";

namespace {
class PlanWriterTest : public ::testing::Test {
protected:
  PlanWriterTest() { context.loadDialect<plan::PlanDialect>(); }

  FailureOr<std::vector<std::byte>> write(const std::string &body) {
    module = parseSourceString<ModuleOp>(header + body + footer, &context);
    EXPECT_TRUE(module);
    PlanInputs inputs;
    auto tensors = readLayout(*module->getOps<plan::LayoutOp>().begin());
    EXPECT_TRUE(succeeded(tensors));
    RankWeights rank;
    rank.tensors = *tensors;
    rank.file = placeTensors("", rank.tensors);
    inputs.ranks.push_back(rank);
    inputs.weights = "f32";
    for (auto kernel : module->getOps<plan::KernelOp>()) {
      inputs.scratch[kernel.getSymName().str()] = 640;
      inputs.specText[kernel.getSymName().str()] = "spec";
    }
    inputs.code = {{"cpu", "x86-64-v3", {"avx2"}, {1, 2, 3}}};
    return writePlan(*module, inputs);
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

TEST_F(PlanWriterTest, saysWhatTheModuleSays) {
  auto bytes = write("");
  ASSERT_TRUE(succeeded(bytes));
  auto *data = reinterpret_cast<const uint8_t *>(bytes->data());
  flatbuffers::Verifier outer(data, bytes->size());
  ASSERT_TRUE(plan::VerifyPlanFileBuffer(outer));
  const plan::PlanFile *file = plan::GetPlanFile(data);
  auto body = std::as_bytes(std::span(file->body()->data(), file->body()->size()));
  runtime::Digest digest = runtime::sha256(body);
  EXPECT_TRUE(std::equal(digest.begin(), digest.end(), file->body_sha256()->begin()));
  const plan::Plan *content = flatbuffers::GetRoot<plan::Plan>(file->body()->data());
  EXPECT_EQ(content->model()->name()->str(), "tiny");
  EXPECT_EQ(content->page()->dtype(), plan::DType::bf16);
  EXPECT_EQ(content->layouts()->Get(0)->tensors()->Get(1)->k_unit(), 16);
  EXPECT_EQ(content->kernels()->Get(1)->scratch_bytes(), 640u);
  EXPECT_EQ(content->code()->Get(0)->features()->Get(0)->str(), "avx2");

  const plan::Bucket *bucket = content->programs()->Get(0)->buckets()->Get(0);
  EXPECT_EQ(bucket->arena_bytes(), 1024u);
  const plan::Launch *launch = bucket->launches()->Get(1);
  EXPECT_EQ(launch->name()->str(), "layer1.rms_norm");
  EXPECT_EQ(launch->layer(), 1);
  EXPECT_EQ(launch->tiles()->per_row(), 1);
  const plan::Operand *written = launch->operands()->Get(2);
  EXPECT_EQ(written->access(), plan::OperandAccess::write);
  EXPECT_EQ(written->range(), plan::OperandRange::rows);
  const plan::Buffer *buffer = bucket->buffers()->Get(written->buffer());
  EXPECT_EQ(buffer->name()->str(), "x");
  EXPECT_EQ(buffer->offset(), 512u);
  EXPECT_EQ(buffer->bytes(), 512u); // 8 rows of 16 floats
  EXPECT_TRUE(buffer->per_row());
}

TEST_F(PlanWriterTest, equalModulesGiveEqualBytes) {
  auto first = write(""), second = write("");
  ASSERT_TRUE(succeeded(first) && succeeded(second));
  EXPECT_EQ(*first, *second);
}

TEST_F(PlanWriterTest, refusesWhatThePlanCannotHold) {
  std::string error;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(write("plan.copy %h to %x : !plan.buffer<tensor<?x16xf32>>\n")));
  EXPECT_NE(error.find("hold launches and collectives only"), std::string::npos) << error;
}

TEST_F(PlanWriterTest, kernelSpecificationIsReadWhole) {
  ASSERT_TRUE(succeeded(write("")));
  auto kernel = *std::next(module->getOps<plan::KernelOp>().begin());
  auto spec = readKernelSpec(kernel);
  ASSERT_TRUE(succeeded(spec));
  EXPECT_EQ(spec->op, KernelOp::embed);
  EXPECT_EQ(spec->vocab, 32);
  EXPECT_EQ(spec->multiplier, 2.0);
  EXPECT_EQ(spec->weight.unit, 16);
}

TEST_F(PlanWriterTest, unknownParameterIsRefused) {
  ASSERT_TRUE(succeeded(write("")));
  auto kernel = *module->getOps<plan::KernelOp>().begin();
  kernel.setParamsAttr(DictionaryAttr::get(
      &context, {{StringAttr::get(&context, "colour"), StringAttr::get(&context, "red")}}));
  std::string error;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(readKernelSpec(kernel)));
  EXPECT_NE(error.find("colour"), std::string::npos) << error;
}
