// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The quantize phase: in how many bits weights are stored, by what is asked for, what fits
// and what was measured; and the report on how good that turned out.
#include "compiler/artifact/OutputFile.h"
#include "compiler/pipeline/Compilation.h"
#include "compiler/quantization/GroupEncoder.h"
#include "passes/quantization/Selection.h"
#include "passes/quantization/Sensitivities.h"

#include <limits>

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

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
