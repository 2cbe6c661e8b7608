// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole artifacts against the interpreter: right ones verify, and a difference
// is found in the launch where it is.
#include "compiler/verification/Verification.h"
#include "compiler/interpreter/CheckpointWeights.h"
#include "compiler/pipeline/Compile.h"
#include "compiler/pipeline/ModelSource.h"
#include "frontends/graph/BuildGraph.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstdlib>
#include <filesystem>
#include <map>

using namespace grok;
using compiler::CacheElement;
using compiler::Numerics;
using testing::HasSubstr;

namespace {

std::string inputsOf(const std::string &set) { return GROKC_SOURCE_DIR "/tests/inputs/" + set; }

/// A folder that goes away with the test.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = testing::TempDir() + "/verification-XXXXXX";
    path = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// A model compiled for one level that every x86 runs, and its fused module.
class Subject {
public:
  Subject(const std::string &set, const std::string &form, Numerics numerics,
          CacheElement kv = CacheElement::f32) {
    options.model = inputsOf(set);
    options.weightsFrom = inputsOf(set) + "/" + form;
    options.output = folder.path + "/artifact";
    options.levels = {"x86-64-v2"};
    options.numerics = numerics;
    options.kv = kv;
    options.maxStepRows = 16;
    auto compiled = compiler::compileModel(options, {});
    EXPECT_TRUE(compiled) << compiled.error();
    fuse(options.weightsFrom);
  }

  /// Builds the fused module from weights that may be other ones.
  void fuse(const std::string &weightsFrom) {
    auto opened = compiler::openModel(options.model, weightsFrom);
    ASSERT_TRUE(opened) << opened.error();
    source = std::move(*opened);
    graph::GraphOptions graphOptions;
    if (options.numerics == Numerics::bf16)
      graphOptions.numerics = graph::Numerics::bf16;
    graphOptions.cacheElement = *graph::cacheElementNamed(nameOf(options.kv));
    module = graph::buildGraph(context, source.config, source.tensors, graphOptions);
    mlir::PassManager passes(&context);
    compiler::addPhase(passes, compiler::Phase::fuse, {});
    ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  }

  mlir::func::FuncOp step() { return *module->getOps<mlir::func::FuncOp>().begin(); }

  verification::Result<verification::Report> verify() {
    verification::VerificationOptions verification;
    verification.artifact = options.output;
    verification.threads = 1;
    return verification::verifyArtifact(step(), interpreter::weightsOf(*source.weights),
                                        verification);
  }

  TemporaryFolder folder;
  compiler::CompileOptions options;
  mlir::MLIRContext context;
  compiler::OpenedModel source;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

struct Case {
  std::string set, form;
  Numerics numerics;
  CacheElement kv = CacheElement::f32;
};

class Verified : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(Verified, AgreesInEveryLaunch) {
  Subject subject(GetParam().set, GetParam().form, GetParam().numerics, GetParam().kv);
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  EXPECT_TRUE(report->passed()) << textOf(*report);
  // embed, norm, then 8 launches and the grouping a layer, and unembed.
  int64_t layers = subject.source.config.numLayers;
  EXPECT_EQ(report->steps, 3);
  EXPECT_EQ(report->rows, 11);
  EXPECT_EQ(report->launches, 3 * (3 + 9 * layers));
  EXPECT_THAT(textOf(*report), HasSubstr("first difference: none\n"));
}

INSTANTIATE_TEST_SUITE_P(
    Sets, Verified,
    testing::Values(Case{"a6x1", "float", Numerics::f32}, Case{"a6x1", "int8", Numerics::f32},
                    Case{"b4x2", "float", Numerics::f32}, Case{"b4x2", "int8", Numerics::f32},
                    Case{"a6x1", "int8", Numerics::bf16}, Case{"b4x2", "float", Numerics::bf16},
                    Case{"a6x1", "int8", Numerics::f32, CacheElement::i8},
                    Case{"b4x2", "float", Numerics::f32, CacheElement::i8},
                    Case{"a6x1", "int8", Numerics::f32, CacheElement::e4m3},
                    Case{"b4x2", "float", Numerics::f32, CacheElement::e4m3}),
    [](const auto &info) {
      return info.param.set + "_" + info.param.form + "_" + nameOf(info.param.numerics) + "_" +
             nameOf(info.param.kv);
    });

/// The one op of a kind in the layer.
template <typename Op> static Op findInLayer(Subject &subject, int64_t layer) {
  Op found;
  subject.step().walk([&](Op op) {
    if (static_cast<int64_t>(op.getLayer()) == layer)
      found = op;
  });
  return found;
}

TEST(Verification, FindsAnotherSoftCapInItsLayer) {
  Subject subject("a6x1", "int8", Numerics::f32);
  auto op = findInLayer<FlashAttentionOp>(subject, 1);
  op.setSoftcapAttr(mlir::Builder(op).getF64FloatAttr(29));
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  ASSERT_FALSE(report->passed());
  EXPECT_EQ(report->first->launch, "layer1.attention");
  EXPECT_EQ(report->first->op, "attention");
  EXPECT_EQ(report->first->layer, 1);
  EXPECT_EQ(report->first->step, 0);
  EXPECT_EQ(report->worst->op, "attention");
  EXPECT_THAT(textOf(*report), HasSubstr("not verified"));
  // Every later launch is compared on what the program really had.
  for (const verification::OpSummary &op : report->ops)
    EXPECT_EQ(op.worstShare > 1, op.op == "attention") << op.op;
}

TEST(Verification, FindsAnotherEps) {
  Subject subject("a6x1", "int8", Numerics::f32);
  auto residuals = llvm::to_vector(subject.step().getOps<FusedResidualNormOp>());
  residuals[1].setEpsAttr(mlir::Builder(&subject.context).getF64FloatAttr(1e-3));
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  ASSERT_FALSE(report->passed());
  EXPECT_EQ(report->first->launch, "layer0.residual_norm_2");
}

TEST(Verification, FindsRoPEOfAnotherBaseInTheFirstRotatedRow) {
  Subject subject("a6x1", "int8", Numerics::f32);
  auto op = findInLayer<FusedQKVOp>(subject, 0);
  op.setBaseAttr(mlir::Builder(op).getF64FloatAttr(9999));
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  ASSERT_FALSE(report->passed());
  EXPECT_EQ(report->first->launch, "layer0.qkv");
  EXPECT_THAT(report->first->what, HasSubstr("layer0.q row "));
}

TEST(Verification, FindsOtherWeights) {
  Subject subject("a6x1", "int8", Numerics::f32);
  subject.fuse(inputsOf("a6x1/float"));
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  ASSERT_FALSE(report->passed());
  EXPECT_EQ(report->first->launch, "layer0.qkv"); // table and norms are float32 in both
}

TEST(Verification, RefusesTheArtifactOfAnotherModel) {
  Subject subject("a6x1", "int8", Numerics::f32);
  subject.options.model = inputsOf("b4x2");
  subject.fuse(inputsOf("b4x2/int8"));
  auto report = subject.verify();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error(), "embed: h: has shape [8, 96], the interpreter's is [8, 64]; is the "
                            "artifact made from this model?");
}

TEST(Verification, RefusesAModuleBeforeFusion) {
  Subject subject("a6x1", "int8", Numerics::f32);
  subject.module = graph::buildGraph(subject.context, subject.source.config, subject.source.tensors,
                                     graph::GraphOptions());
  auto report = subject.verify();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error(), "layer0/multi_head_attention/query/rope: 'grok.rope' is not computed "
                            "by one kernel; expects the module after fusion");
}

TEST(Verification, NamesAnArtifactThatCannotBeLoaded) {
  Subject subject("a6x1", "int8", Numerics::f32);
  std::filesystem::remove(subject.options.output + "/model.plan");
  auto report = subject.verify();
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error(), HasSubstr("model.plan"));
}

TEST(ChooseSteps, FeedsEveryBucketWithinTheLimits) {
  GrokModelInfo info{};
  info.vocabSize = 512;
  for (int64_t maxContext : {1, 3, 5, 6, 7, 100})
    for (int64_t maxStepRows : {1, 2, 8, 512}) {
      info.maxContext = maxContext;
      info.maxStepRows = maxStepRows;
      std::map<int32_t, int64_t> lengths;
      for (const auto &step : verification::chooseSteps(info)) {
        EXPECT_FALSE(step.empty());
        EXPECT_LE(step.size(), static_cast<size_t>(maxStepRows));
        for (const verification::StepRow &row : step) {
          EXPECT_TRUE(row.token >= 0 && row.token < info.vocabSize);
          EXPECT_LE(++lengths[row.sequence], maxContext);
        }
      }
      EXPECT_EQ(lengths.size(), 2u);
    }
}
