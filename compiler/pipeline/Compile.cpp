// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The compiler from a model to an artifact, phase by phase.
#include "compiler/pipeline/Compile.h"

#include "compiler/artifact/OutputFile.h"
#include "compiler/interpreter/CheckpointWeights.h"
#include "compiler/pipeline/Compilation.h"
#include "compiler/pipeline/KernelsPhase.h"
#include "compiler/verification/Verification.h"
#include "frontends/graph/BuildGraph.h"
#include "passes/sharding/LayerKinds.h"

#include "mlir/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <filesystem>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;
namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

/// Rows up to which GPUs have kernels of their own: one and two n tiles of mma, for which
/// weights come in rings, and a batch, which would leave the tiles of many rows idle.
static constexpr int64_t gpuSmallSteps[] = {8, 16, 64};

tl::unexpected<std::string> Compilation::diagnosed(StringRef what) {
  std::string text = what.str();
  if (!diagnostic.empty())
    text += ": " + diagnostic;
  return tl::unexpected(text);
}

PhaseOptions Compilation::phaseOptions() const {
  PhaseOptions phase;
  phase.maxContext = maxContext;
  phase.maxStepRows = options.maxStepRows;
  phase.pageTokens = options.pageTokens;
  phase.rowAttention = !options.chips.empty();
  if (!options.chips.empty())
    phase.smallSteps.assign(std::begin(gpuSmallSteps), std::end(gpuSmallSteps));
  phase.kv = nameOf(options.kv);
  phase.activationBits = options.activationBits;
  bool isStored = options.weights == "f32" || options.weights == "bf16";
  phase.weights = isStored ? "stored" : options.weights;
  phase.bitsPerWeight = options.bitsPerWeight;
  phase.budgetBytes = weightBudget;
  phase.assigned = options.assigned;
  phase.sharding = sharding;
  return phase;
}

Result<void> Compilation::checkOptions() {
  const int64_t trained = source.config.sequenceLen;
  maxContext = options.maxContext.value_or(trained);
  if (maxContext < 1 || maxContext > trained)
    return tl::unexpected("--max-context=" + std::to_string(maxContext) + ": " +
                          source.config.name + " holds 1 to " + std::to_string(trained) +
                          " positions");
  auto task = shardingTaskOf(options, maxContext);
  if (!task)
    return tl::unexpected(task.error());
  sharding = *task;
  if (sharding.isOneRank())
    return {};
  if (options.numerics == Numerics::bf16)
    return tl::unexpected(std::string() +
                          "--numerics=bf16: the literal mode rounds whole sums and runs on one "
                          "rank; take f32 or fast with several");
  if (options.verify)
    return tl::unexpected(std::string() +
                          "--verify: compares on one rank; leave out --sharding and --devices, "
                          "or --verify");
  return {};
}

Result<std::string> Compilation::import() {
  auto opened = openModel(options.model, options.weightsFrom);
  if (!opened)
    return tl::unexpected(opened.error());
  source = std::move(*opened);
  if (auto checked = checkOptions(); !checked)
    return tl::unexpected(checked.error());
  if (hooks.checkTokenizer && !source.tokenizer.empty())
    if (auto wrong = hooks.checkTokenizer(source.tokenizer, source.config.vocabSize))
      return tl::unexpected(source.tokenizerPath + ": " + *wrong);
  graph::GraphOptions graphOptions;
  graphOptions.numerics = options.numerics == Numerics::bf16   ? graph::Numerics::bf16
                          : options.numerics == Numerics::fast ? graph::Numerics::fast
                                                               : graph::Numerics::f32;
  graphOptions.cacheElement = *graph::cacheElementNamed(nameOf(options.kv));
  module = graph::buildGraph(context, source.config, source.tensors, graphOptions);
  if (module && options.reproducible)
    (*module)->setAttr("grok.reproducible", UnitAttr::get(&context));
  if (!module || failed(verify(*module)))
    return diagnosed("cannot build the graph of " + source.config.name);
  return source.config.name + ", " + std::to_string(source.config.numLayers) + " layers, weights " +
         weightsText(source.tensors);
}

Result<std::string> Compilation::runPasses(Phase phase) {
  PassManager passes(&context);
  if (hooks.configurePasses)
    hooks.configurePasses(passes);
  addPhase(passes, phase, phaseOptions());
  if (failed(passes.run(*module)))
    return diagnosed("phase " + std::string(nameOf(phase)));
  if (phase == Phase::fuse && options.verify)
    fused = module->clone();
  if (phase == Phase::memory)
    if (std::string wrong = problemWithBudget(*module, options.memoryBudget); !wrong.empty())
      return tl::unexpected(wrong);
  int64_t count = 0;
  module->walk([&](Operation *) { ++count; });
  std::string detail = std::to_string(count) + " ops";
  if (phase != Phase::shard)
    return detail;
  auto chosen = (*module)->getAttrOfType<ShardingAttr>("grok.sharding");
  return chosen ? chosen.text() + sharding::layerKindsText(*module) + ", " +
                      std::to_string(chosen.countRanks()) + " ranks, " + detail
                : std::string("one rank");
}

Result<std::string> Compilation::makeKernels() {
  auto made = compileKernels(*module, options, plan);
  return made ? made : diagnosed(made.error());
}

Result<std::string> Compilation::writeFolder() {
  plan.weights =
      report.quantization ? report.quantization->selection.weights : weightsText(source.tensors);
  plan.tokenizer = std::move(source.tokenizer);
  std::optional<PackingSource> packing;
  if (source.weights)
    packing.emplace(packingSource());
  auto written = writeArtifact(options.output,
                               {*module, packing ? &*packing : nullptr,
                                options.model + "\t" + options.weightsFrom, hooks.packing},
                               plan);
  if (!written)
    return diagnosed(written.error());
  report.planBytes = *written;
  if (!source.weights)
    return "plan without weights";
  int64_t tensors = 0, reused = 0;
  for (const RankWeights &rank : plan.ranks) {
    report.weightBytes += rank.file.bytes;
    tensors += std::ssize(rank.tensors);
    reused += rank.file.reusedTensors;
  }
  std::string detail = "packed " + std::to_string(tensors) + " tensors";
  if (plan.ranks.size() > 1)
    detail += " for " + std::to_string(plan.ranks.size()) + " ranks";
  if (reused)
    detail += ", " + std::to_string(reused) + " of them in an interrupted run before";
  return detail;
}

Result<void> Compilation::writeModule(const std::string &path) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  module->print(stream, flags.elideLargeElementsAttrs(64));
  stream << '\n';
  if (path != "-")
    return writeWholeFile(path, std::as_bytes(std::span(text)));
  llvm::outs() << text;
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return {};
  std::string why = llvm::outs().error().message();
  llvm::outs().clear_error(); // or its destructor would abort
  return tl::unexpected("standard output: cannot write: " + why);
}

Result<void> Compilation::runPhase(Phase phase) {
  if (hooks.phaseStarted)
    hooks.phaseStarted(nameOf(phase));
  auto start = Clock::now();
  Result<std::string> detail = phase == Phase::import     ? import()
                               : phase == Phase::quantize ? quantize()
                               : phase == Phase::kernels  ? makeKernels()
                               : phase == Phase::artifact ? writeFolder()
                                                          : runPasses(phase);
  if (!detail)
    return tl::unexpected(detail.error());
  std::chrono::duration<double> time = Clock::now() - start;
  report.phases.push_back({std::string(nameOf(phase)), time.count(), *detail});
  if (hooks.phaseEnded)
    hooks.phaseEnded(report.phases.back());
  if (options.dumpPhases.empty() || phase == Phase::artifact)
    return {};
  std::string number = std::to_string(static_cast<int>(phase));
  return writeModule(options.dumpPhases + "/" + number + "-" + std::string(nameOf(phase)) +
                     ".mlir");
}

Result<void> Compilation::verifyArtifact() {
  if (!source.weights)
    return tl::unexpected("--verify: " + options.output +
                          " is a plan without weights; compile it with weights");
  if (hooks.phaseStarted)
    hooks.phaseStarted("verify");
  auto start = Clock::now();
  auto verified = verification::verifyArtifact(
      *fused->getOps<func::FuncOp>().begin(),
      interpreter::weightsOf(*source.weights, *encoder, formats),
      {.artifact = options.output, .cpuLevel = {}, .threads = options.threads});
  if (!verified)
    return tl::unexpected("--verify: " + verified.error());
  std::chrono::duration<double> time = Clock::now() - start;
  report.phases.push_back({"verify", time.count(),
                           std::to_string(verified->values) + " values of " +
                               std::to_string(verified->launches) + " launches"});
  report.verification = std::move(*verified);
  if (hooks.phaseEnded)
    hooks.phaseEnded(report.phases.back());
  return {};
}

Result<CompileReport> Compilation::run() {
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnosticOp) {
    if (diagnosticOp.getSeverity() != DiagnosticSeverity::Error)
      return failure();
    if (diagnostic.empty())
      diagnostic = diagnosticOp.str();
    return success();
  });
  if (!options.dumpPhases.empty()) {
    std::error_code error;
    fs::create_directories(options.dumpPhases, error);
    if (error)
      return tl::unexpected(options.dumpPhases + ": cannot create: " + error.message());
  }
  report.output = options.output;
  for (Phase phase : allPhases) {
    if (auto done = runPhase(phase); !done)
      return tl::unexpected(done.error());
    if (phase == options.lastPhase)
      break;
  }
  if (options.lastPhase != Phase::artifact)
    if (auto written = writeModule(options.output); !written)
      return tl::unexpected(written.error());
  if (options.verify)
    if (auto verified = verifyArtifact(); !verified)
      return tl::unexpected(verified.error());
  // What replaces the artifact is verified as itself.
  if (options.lastPhase == Phase::artifact)
    if (auto reported = reportQuantization(); !reported)
      return tl::unexpected(reported.error());
  return std::move(report);
}

Result<CompileReport> compiler::compileModel(const CompileOptions &options,
                                             const CompileHooks &hooks) {
  return Compilation(options, hooks).run();
}
