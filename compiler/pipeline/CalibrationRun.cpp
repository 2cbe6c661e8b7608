// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/CalibrationRun.h"

#include "compiler/calibration/Collection.h"
#include "compiler/targets/cpu/CpuLevels.h"

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace grok;
using namespace grok::compiler;

using calibration::TextSlice;

/// Sequences of the calibration are no longer than this.
static constexpr int64_t longestWindow = 2048;
/// Trials compile the whole model once for every item.
static constexpr int64_t mostTrialBytes = int64_t(4) << 30;
/// Enough noise to see what an item matters.
static constexpr const char *trialFormat = "int3g32";
/// Enough text to tell items apart, not more: a trial scores all of it twice.
static constexpr int64_t mostTrialWindows = 64;
/// Memory of the second moments. A constant, so that every machine chooses alike.
static constexpr int64_t mostStatisticsBytes = int64_t(16) << 30;

void CalibrationRun::say(const std::string &text) const {
  if (hooks.phaseStarted)
    hooks.phaseStarted("calibrate: " + text);
}

Result<void> CalibrationRun::readText() {
  std::ifstream in(options.calibrate, std::ios::binary);
  if (!in || std::filesystem::is_directory(options.calibrate))
    return tl::unexpected("--calibrate: " + options.calibrate + ": cannot read");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  if (source.tokenizer.empty() || !hooks.tokenize)
    return tl::unexpected("--calibrate: " + source.config.name +
                          " has no tokenizer.model; put it beside config.json");
  auto encoded = hooks.tokenize(source.tokenizer, source.config.vocabSize, text);
  if (!encoded)
    return tl::unexpected("--calibrate: " + options.calibrate + ": " + encoded.error());
  ids = std::move(*encoded);
  window = std::min(longestWindow, source.config.sequenceLen);
  if (calibration::countWindows(ids.size(), window) < 2)
    return tl::unexpected("--calibrate: " + options.calibrate + ": " + std::to_string(ids.size()) +
                          " tokens; give more than two windows of " + std::to_string(window));
  return {};
}

CompileOptions CalibrationRun::baselineOptions() const {
  CompileOptions variant = options;
  variant.calibrate.clear();
  variant.emitReport.clear();
  variant.dumpPhases.clear();
  variant.weights = "stored";
  variant.bitsPerWeight = 0;
  variant.memoryBudget = 0;
  variant.numerics = Numerics::f32;
  variant.kv = CacheElement::f32;
  variant.verify = false;
  variant.maxContext = window;
  variant.levels.clear();
  variant.chips.clear();
  for (const CpuLevel &level : cpuLevels())
    if (canHostRun(level))
      variant.levels = {level.name}; // the last is the best
  return variant;
}

Result<std::string> CalibrationRun::compileVariant(const std::string &name,
                                                   CompileOptions variant) {
  variant.output = folder.path() + "/" + name;
  CompileHooks silent;
  silent.encoder = gptq.get();
  auto compiled = compileModel(variant, silent);
  if (!compiled)
    return tl::unexpected("--calibrate: " + compiled.error());
  return variant.output;
}

Result<void> CalibrationRun::collect() {
  say("the model as stored");
  auto compiled = compileVariant("stored", baselineOptions());
  if (!compiled)
    return tl::unexpected(compiled.error());
  baseline = *compiled;
  auto run = calibration::TextRun::load(baseline, options.threads);
  if (!run)
    return tl::unexpected("--calibrate: " + run.error());
  const TextSlice slice = calibration::learningSlice(ids, window);
  calibration::CollectionOptions collection;
  collection.threads = options.threads;
  collection.largestBlock = calibration::chooseLargestBlock(source.tensors, mostStatisticsBytes);
  collection.showProgress = [&](int64_t done) {
    say("window " + std::to_string(done) + " of " + std::to_string(slice.count));
  };
  auto collected = calibration::collectStatistics(*run, slice, collection);
  if (!collected)
    return tl::unexpected("--calibrate: " + collected.error());
  statistics = std::move(*collected);
  calibration::GptqEncoderOptions encoding;
  encoding.threads = options.threads;
  gptq = std::make_unique<calibration::GptqEncoder>(statistics, encoding);
  return {};
}

Result<std::unique_ptr<CalibrationRun>> CalibrationRun::create(const CompileOptions &options,
                                                               const CompileHooks &hooks,
                                                               const OpenedModel &source) {
  auto folder = TemporaryFolder::createBeside(options.output);
  if (!folder)
    return tl::unexpected("--calibrate: " + folder.error());
  std::unique_ptr<CalibrationRun> run(
      new CalibrationRun(options, hooks, source, std::move(*folder)));
  if (auto read = run->readText(); !read)
    return tl::unexpected(read.error());
  if (auto collected = run->collect(); !collected)
    return tl::unexpected(collected.error());
  return run;
}

bool CalibrationRun::isSmall() const {
  int64_t bytes = 0;
  for (const checkpoint::TensorInfo &tensor : source.tensors)
    bytes += tensor.weightBytes();
  return bytes <= mostTrialBytes;
}

Result<std::string> CalibrationRun::compileTrial(std::span<const std::string> items,
                                                 const std::string &format) {
  CompileOptions trial = baselineOptions();
  for (const std::string &item : items)
    trial.assigned.push_back(item + ":" + format);
  return compileVariant("trial", std::move(trial));
}

Result<std::optional<quantization::MeasuredSensitivities>> CalibrationRun::measureSensitivities() {
  if (!isSmall())
    return std::nullopt;
  using Kind = quantization::MatrixFormat::Kind;
  std::vector<quantization::MatrixFormat> formats;
  for (Kind kind : {Kind::i4, Kind::i3})
    for (int64_t rows : {32, 64})
      formats.push_back({kind, /*rowGroups=*/1, rows, /*alongLast=*/false});
  const std::vector<calibration::CalibrationItem> items = calibration::itemsOf(source.tensors);
  auto measured = calibration::measureErrors(
      *source.weights, items, formats, *gptq, statistics, options.threads,
      [&](const calibration::CalibrationItem &item) { say("errors of " + item.name); });
  if (!measured)
    return tl::unexpected("--calibrate: " + measured.error());
  calibration::TrialOptions trials;
  trials.format = trialFormat;
  trials.reference = baseline;
  trials.slice = calibration::learningSlice(ids, window);
  trials.slice.count = std::min(trials.slice.count, mostTrialWindows);
  trials.threads = options.threads;
  trials.showProgress = [&](const std::string &item) { say("loss of " + item); };
  auto build = [&](std::span<const std::string> names, const std::string &format) {
    return compileTrial(names, format);
  };
  if (auto done = calibration::measureLosses(*measured, build, trials); !done)
    return tl::unexpected("--calibrate: " + done.error());
  measuredItems = std::move(*measured);
  quantization::MeasuredSensitivities result;
  for (const auto &[name, item] : measuredItems)
    result[name] = {item.loss, {item.errors.begin(), item.errors.end()}};
  return result;
}

/// The items of a selection under a flat choice: experts in its format, all else
/// in int8.
static std::vector<std::string> assignmentOf(const quantization::Selection &selection,
                                             const std::string &format) {
  std::vector<std::string> assigned;
  for (const quantization::SelectedItem &item : selection.items) {
    const bool isOfExperts = item.kind == "gate_up" || item.kind == "down";
    assigned.push_back(item.name + ":" + (isOfExperts ? format : "int8"));
  }
  return assigned;
}

/// The largest flat choice that fits the budget and the smallest that does not.
static std::vector<const quantization::FlatChoice *>
nearestFlat(const quantization::Selection &selection) {
  const quantization::FlatChoice *below = nullptr, *above = nullptr;
  for (const quantization::FlatChoice &flat : selection.flat) {
    if (flat.format == "stored")
      continue;
    const bool fits = flat.bytes <= selection.budget;
    auto &nearest = fits ? below : above;
    if (!nearest || (fits ? flat.bytes > nearest->bytes : flat.bytes < nearest->bytes))
      nearest = &flat;
  }
  std::vector<const quantization::FlatChoice *> result;
  for (const quantization::FlatChoice *flat : {below, above})
    if (flat)
      result.push_back(flat);
  return result;
}

static report::Measurement chosenOf(const calibration::Comparison &comparison) {
  return {comparison.chosen.meanNll, comparison.nllStandardError, comparison.divergence,
          comparison.agreement};
}

/// With the model as stored, on the last tenth of the text.
Result<calibration::Comparison> CalibrationRun::compare(const std::string &artifact) const {
  const TextSlice slice = calibration::checkingSlice(ids, window);
  auto comparison = calibration::compareArtifacts(artifact, baseline, slice, options.threads);
  if (!comparison)
    return tl::unexpected("--calibrate: " + comparison.error());
  return *comparison;
}

Result<void> CalibrationRun::measure(const std::string &artifact,
                                     report::QuantizationReport &report) {
  say("perplexity");
  auto comparison = compare(artifact);
  if (!comparison)
    return tl::unexpected(comparison.error());
  report.text = "the last tenth of " + options.calibrate;
  report.tokens = comparison->chosen.tokens;
  report.stored = report::Measurement{comparison->reference.meanNll, {}, {}, {}};
  report.chosen = chosenOf(*comparison);
  for (const quantization::SelectedItem &item : report.selection.items) {
    auto measured = measuredItems.find(item.name);
    if (measured == measuredItems.end())
      continue;
    if (auto error = measured->second.errors.find(item.format);
        error != measured->second.errors.end())
      report.itemErrors[item.name] = error->second;
    if (item.format == trialFormat)
      report.itemLosses[item.name] = measured->second.trial.nllDifference;
  }
  if (report.selection.weights == "auto" && isSmall())
    for (const quantization::FlatChoice *flat : nearestFlat(report.selection))
      if (auto measured = measureFlat(*flat, report); !measured)
        return measured;
  return {};
}

Result<void> CalibrationRun::measureFlat(const quantization::FlatChoice &flat,
                                         report::QuantizationReport &report) {
  say("perplexity of " + flat.format);
  CompileOptions variant = baselineOptions();
  variant.numerics = options.numerics;
  variant.kv = options.kv;
  variant.assigned = assignmentOf(report.selection, flat.format);
  auto artifact = compileVariant("flat", std::move(variant));
  if (!artifact)
    return tl::unexpected(artifact.error());
  auto comparison = compare(*artifact);
  if (!comparison)
    return tl::unexpected(comparison.error());
  report.flat[flat.format] = chosenOf(*comparison);
  return {};
}

std::vector<std::string>
CalibrationRun::betterFlat(const report::QuantizationReport &report) const {
  for (const quantization::FlatChoice &flat : report.selection.flat) {
    auto measured = report.flat.find(flat.format);
    if (measured != report.flat.end() && flat.bytes <= report.selection.budget &&
        measured->second.loss < report.chosen->loss)
      return assignmentOf(report.selection, flat.format);
  }
  return {};
}
