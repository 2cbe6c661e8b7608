// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The compiler from a model to an artifact, phase by phase.
#include "compiler/pipeline/Compile.h"

#include "compiler/artifact/OutputFile.h"
#include "compiler/interpreter/CheckpointWeights.h"
#include "compiler/pipeline/ArtifactPhase.h"
#include "compiler/pipeline/CalibrationRun.h"
#include "compiler/pipeline/KernelsPhase.h"
#include "compiler/pipeline/MemoryUse.h"
#include "compiler/pipeline/ModelSource.h"
#include "compiler/pipeline/ShardingTask.h"
#include "compiler/pipeline/WeightFormats.h"
#include "compiler/quantization/GroupEncoder.h"
#include "compiler/verification/Verification.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"
#include "frontends/graph/BuildGraph.h"
#include "passes/quantization/Selection.h"
#include "passes/quantization/Sensitivities.h"
#include "passes/sharding/LayerKinds.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <filesystem>
#include <limits>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;
namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

/// Rows up to which GPUs have kernels of their own: one and two n tiles of mma, for which
/// weights come in rings, and a batch, which would leave the tiles of many rows idle.
static constexpr int64_t gpuSmallSteps[] = {8, 16, 64};

namespace {
/// One run: what the phases hand to one another.
class Compilation {
public:
  Compilation(const CompileOptions &options, const CompileHooks &hooks)
      : options(options), hooks(hooks), context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<func::FuncDialect, GrokDialect, plan::PlanDialect>();
  }
  Result<CompileReport> run();

private:
  Result<void> runPhase(Phase phase);
  Result<std::string> import();
  Result<std::string> runPasses(Phase phase);
  Result<std::string> quantize();
  Result<void> checkStoredAs(const std::string &dtype) const;
  Result<MemoryUse> tryInt8(const ShardingTask &task);
  Result<int64_t> findWeightBudget();
  Result<void> calibrate();
  Result<void> reportQuantization();
  Result<void> replaceByFlat();
  Result<std::string> makeKernels();
  Result<std::string> writeFolder();
  Result<void> writeModule(const std::string &path);
  PackingSource packingSource() const { return {*source.weights, encoder, options.threads}; }
  Result<void> verifyArtifact();
  Result<void> checkOptions();
  tl::unexpected<std::string> diagnosed(StringRef what);
  PhaseOptions phaseOptions() const;

  const CompileOptions &options;
  const CompileHooks &hooks;
  MLIRContext context;
  std::string diagnostic; // first error that MLIR reported
  OpenedModel source;
  int64_t maxContext = 0;
  ShardingTask sharding;
  int64_t weightBudget = 0;                    // bytes; 0 = any
  std::unique_ptr<CalibrationRun> calibration; // with --calibrate
  std::unique_ptr<quantization::MatrixEncoder> search;
  const quantization::MatrixEncoder *encoder = nullptr;
  quantization::WeightFormats formats; // of what is not packed as stored
  OwningOpRef<ModuleOp> module;
  OwningOpRef<ModuleOp> fused; // kept for the verification
  PlanInputs plan;
  CompileReport report;
};
} // namespace

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

/// "auto, 3.90 bits per weight, predicted loss 0.0101 nats".
static std::string summaryOf(const quantization::Selection &selection) {
  char text[96];
  std::snprintf(text, sizeof text, ", %.2f bits per weight, predicted loss %.4f nats",
                selection.bits(), selection.loss);
  return selection.weights + text;
}

/// `--weights=f32|bf16` asks for what the checkpoint already is.
Result<void> Compilation::checkStoredAs(const std::string &dtype) const {
  const checkpoint::DType wanted =
      dtype == "f32" ? checkpoint::DType::f32 : checkpoint::DType::bf16;
  for (const checkpoint::TensorInfo &tensor : source.tensors)
    if (tensor.name.ends_with("/w") && !tensor.name.ends_with("router/w") && tensor.dtype != wanted)
      return tl::unexpected("--weights=" + dtype + ": tensor '" + tensor.name + "' is stored as " +
                            tensor.form() + "; leave --weights out to keep it so");
  return {};
}

Result<MemoryUse> Compilation::tryInt8(const ShardingTask &task) {
  OwningOpRef<ModuleOp> trial = module->clone();
  PassManager passes(&context);
  PhaseOptions smallest = phaseOptions();
  smallest.weights = "int8";
  smallest.bitsPerWeight = 0;
  smallest.sharding = task;
  for (Phase phase : {Phase::quantize, Phase::shard, Phase::fuse, Phase::outline, Phase::memory})
    addPhase(passes, phase, smallest);
  if (failed(passes.run(*trial)))
    return diagnosed("--memory-budget");
  return memoryUseOf(*trial);
}

/// Bytes of all weights for whose parts every rank has room in --memory-budget.
Result<int64_t> Compilation::findWeightBudget() {
  ShardingTask task = sharding;
  if (task.machine) { // whatever fits: formats are what is looked for
    task.machine->memoryBytes = static_cast<double>(std::numeric_limits<int64_t>::max() / 4);
  }
  auto use = tryInt8(task);
  if (!use)
    return tl::unexpected(use.error());
  const auto budget = static_cast<int64_t>(options.memoryBudget);
  if (budget <= use->besideWeights())
    return tl::unexpected(
        "--memory-budget: " + std::to_string(budget) + " bytes; the cache of " +
        std::to_string(maxContext) + " positions and the activations alone take " +
        std::to_string(use->besideWeights()) +
        "; give more, or a smaller --max-context or --max-step-rows, or --kv=int8");
  const int64_t own = budget - use->besideWeights();
  if (task.isOneRank())
    return own;
  auto whole = tryInt8({});
  if (!whole)
    return tl::unexpected(whole.error());
  // Less one part in a hundred: what every rank holds does not shrink with the bits.
  const double parts =
      0.99 * static_cast<double>(whole->weights) / static_cast<double>(use->weights);
  return static_cast<int64_t>(static_cast<double>(own) * parts);
}

/// Moments for the encoder, and what there is to lose for the choice.
Result<void> Compilation::calibrate() {
  if (!source.weights)
    return tl::unexpected(std::string("--calibrate: needs weights; leave out --weights-from=none"));
  auto run = CalibrationRun::create(options, hooks, source);
  if (!run)
    return tl::unexpected(run.error());
  calibration = std::move(*run);
  if (options.weights != "auto")
    return {};
  auto measured = calibration->measureSensitivities();
  if (!measured)
    return tl::unexpected(measured.error());
  if (*measured)
    quantization::setSensitivities(*module, **measured);
  return {};
}

/// Losses add up only roughly: where a flat choice of the budget was measured to
/// be better than the best by prediction, it is what is kept.
Result<void> Compilation::replaceByFlat() {
  report::QuantizationReport &chosen = *report.quantization;
  CompileOptions flat = options;
  flat.assigned = calibration->betterFlat(chosen);
  if (flat.assigned.empty())
    return {};
  flat.weights = "stored";
  flat.bitsPerWeight = 0;
  flat.memoryBudget = 0;
  flat.calibrate.clear();
  flat.emitReport.clear();
  CompileHooks flatHooks = hooks;
  flatHooks.encoder = encoder;
  auto compiled = compileModel(flat, flatHooks);
  if (!compiled)
    return tl::unexpected(compiled.error());
  chosen.selection = compiled->quantization->selection;
  chosen.selection.weights = "flat (measured better than the automatic choice)";
  report.planBytes = compiled->planBytes;
  report.weightBytes = compiled->weightBytes;
  report.verification = std::move(compiled->verification);
  return calibration->measure(options.output, chosen);
}

/// How good the artifact is, where that can be measured, and the report's file.
Result<void> Compilation::reportQuantization() {
  if (!report.quantization)
    return {};
  if (calibration) {
    if (auto measured = calibration->measure(options.output, *report.quantization); !measured)
      return measured;
    if (auto replaced = replaceByFlat(); !replaced)
      return replaced;
  }
  if (options.emitReport.empty())
    return {};
  const bool isJson = options.emitReport.ends_with(".json");
  const std::string text =
      isJson ? report::jsonOf(*report.quantization) : report::htmlOf(*report.quantization);
  return writeWholeFile(options.emitReport, std::as_bytes(std::span(text)));
}

Result<std::string> Compilation::quantize() {
  if (options.weights == "f32" || options.weights == "bf16")
    if (auto checked = checkStoredAs(options.weights); !checked)
      return tl::unexpected(checked.error());
  if (options.memoryBudget) {
    auto budget = findWeightBudget();
    if (!budget)
      return tl::unexpected(budget.error());
    weightBudget = *budget;
  }
  if (!options.calibrate.empty())
    if (auto done = calibrate(); !done)
      return tl::unexpected(done.error());
  if (auto done = runPasses(Phase::quantize); !done)
    return done;
  formats = readWeightFormats(*module, source.tensors);
  search = std::make_unique<quantization::GroupEncoder>(quantization::GroupEncoder::Method::search,
                                                        options.threads);
  encoder = hooks.encoder ? hooks.encoder : calibration ? &calibration->encoder() : search.get();
  auto selection = quantization::getSelection(*module);
  if (!selection || (formats.empty() && selection->weights == "stored"))
    return "weights as stored";
  report.quantization = report::QuantizationReport{};
  report.quantization->model = source.config.name;
  report.quantization->encoder = encoder->identity();
  report.quantization->selection = *selection;
  return summaryOf(*selection);
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
