// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-interpret: what a model computes, by definition: slow, exact, no plan.
#include "compiler/interpreter/CheckpointWeights.h"
#include "compiler/interpreter/Feed.h"
#include "compiler/interpreter/Ranks.h"
#include "frontends/graph/CheckpointTensors.h"
#include "passes/fusion/Passes.h"
#include "passes/sharding/Passes.h"
#include "runtime/output/NpyWriter.h"
#include "tools/grok-interpret/OpDump.h"
#include "tools/grok-interpret/Options.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <iostream>

namespace grok::tools {
using interpreter::Tensor;
using runtime::Result;

namespace {

// Collects what MLIR reports, for a message of one line.
class Diagnostics {
public:
  explicit Diagnostics(mlir::MLIRContext &context)
      : handler(&context, [this](mlir::Diagnostic &diagnostic) {
          if (first.empty())
            first = diagnostic.str();
          return mlir::success();
        }) {}
  tl::unexpected<std::string> error() const { return tl::unexpected(first); }

private:
  std::string first;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace

static Result<mlir::OwningOpRef<mlir::ModuleOp>> buildModule(mlir::MLIRContext &context,
                                                             const graph::ModelConfig &config,
                                                             const checkpoint::Checkpoint &weights,
                                                             const InterpretOptions &options) {
  Diagnostics diagnostics(context);
  auto module = graph::buildGraph(context, config, weights.tensors(), options.graph);
  if (!module)
    return diagnostics.error();
  mlir::PassManager passes(&context);
  if (!options.sharding.empty())
    buildShardingPipeline(passes, options.sharding);
  if (options.isFused)
    buildFusionPipeline(passes);
  if (mlir::failed(passes.run(*module)))
    return diagnostics.error();
  return module;
}

static Result<Tensor> interpretModel(const InterpretOptions &options) {
  Result<graph::ModelSource> model = graph::findModel(options.model);
  if (!model)
    return tl::unexpected(model.error());
  const std::string &folder = options.weightsFrom.empty() ? model->folder : options.weightsFrom;
  if (folder.empty())
    return runtime::fail("model '", options.model,
                         "' is a preset without weights, give --weights-from=DIR");
  auto weights = graph::openCheckpoint(folder, model->config);
  if (!weights)
    return tl::unexpected(weights.error());
  mlir::MLIRContext context;
  auto module = buildModule(context, model->config, **weights, options);
  if (!module)
    return tl::unexpected(module.error());

  OpDump dump(options.dumpFolder);
  interpreter::Observer observer;
  if (!options.dumpFolder.empty())
    observer = [&](mlir::Operation &op, llvm::ArrayRef<const interpreter::Value *> results) {
      dump.observe(op, results);
    };
  interpreter::WeightSource source = interpreter::weightsOf(**weights);
  auto step = (*module)->lookupSymbol<mlir::func::FuncOp>("step");
  Result<Tensor> logits =
      options.sharding.empty()
          ? interpreter::feed(step, options.tokens, options.chunk, source, observer)
          : interpreter::feedRanks(**module, options.tokens, options.chunk, source, observer);
  if (!dump.status())
    return tl::unexpected(dump.status().error());
  return logits;
}

static Result<void> writeLogits(const std::string &path, const Tensor &logits) {
  Result<runtime::NpyWriter> file = runtime::NpyWriter::create(path, logits.stride());
  if (!file)
    return tl::unexpected(file.error());
  for (int64_t row = 0; row < logits.rows(); ++row)
    if (auto done = file->append({logits.row(row), static_cast<size_t>(logits.stride())}); !done)
      return done;
  return file->commit();
}

// The likeliest token after each position, the lowest id on ties.
static void printNextTokens(const Tensor &logits) {
  for (int64_t row = 0; row < logits.rows(); ++row) {
    const float *values = logits.row(row);
    std::cout << (row == 0 ? "" : ",")
              << std::max_element(values, values + logits.stride()) - values;
  }
  std::cout << '\n';
}

static int run(int argc, char **argv) {
  CommandLine commandLine("grok-interpret",
                          "Run a model on the reference interpreter and print the likeliest "
                          "token after every position");
  auto parsed = parseInterpretOptions(commandLine, argc, argv);
  if (auto *code = std::get_if<int>(&parsed))
    return *code;
  const auto &options = std::get<InterpretOptions>(parsed);
  Result<Tensor> logits = interpretModel(options);
  if (!logits)
    return commandLine.reportError(logits.error());
  if (!options.logitsFile.empty())
    if (auto done = writeLogits(options.logitsFile, *logits); !done)
      return commandLine.reportError(done.error());
  printNextTokens(*logits);
  return exitDone;
}

} // namespace grok::tools

int main(int argc, char **argv) {
  return grok::tools::runTool("grok-interpret", [&] { return grok::tools::run(argc, argv); });
}
