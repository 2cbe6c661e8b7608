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

using namespace grok;
using compiler::Numerics;
using testing::HasSubstr;

namespace {

const std::string inputs = GROKC_SOURCE_DIR "/tests/inputs/";

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
  Subject(const std::string &set, const std::string &form, Numerics numerics) {
    options.model = inputs + set;
    options.weightsFrom = inputs + set + "/" + form;
    options.output = folder.path + "/artifact";
    options.levels = {"x86-64-v2"};
    options.numerics = numerics;
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
};

class Verified : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(Verified, AgreesInEveryLaunch) {
  Subject subject(GetParam().set, GetParam().form, GetParam().numerics);
  auto report = subject.verify();
  ASSERT_TRUE(report) << report.error();
  EXPECT_TRUE(report->passed()) << textOf(*report);
  // embed, norm, then 8 launches and the grouping a layer, and unembed.
  int64_t layers = subject.source.config.numLayers;
  EXPECT_EQ(report->steps, 3);
  EXPECT_EQ(report->rows, 11);
  EXPECT_EQ(report->launches, 3 * (3 + 9 * layers));
  EXPECT_THAT(textOf(*report), HasSubstr("first difference: none\n"));
  std::printf("%s", textOf(*report).c_str());
}

INSTANTIATE_TEST_SUITE_P(
    Sets, Verified,
    testing::Values(Case{"a6x1", "float", Numerics::f32}, Case{"a6x1", "int8", Numerics::f32},
                    Case{"b4x2", "float", Numerics::f32}, Case{"b4x2", "int8", Numerics::f32},
                    Case{"a6x1", "int8", Numerics::bf16}, Case{"b4x2", "float", Numerics::bf16}),
    [](const auto &info) {
      return info.param.set + "_" + info.param.form + "_" + nameOf(info.param.numerics);
    });
