// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-bench: speed of a compiled model beside the limit of its machine.
#include "runtime/generation/SessionEngine.h"
#include "runtime/measurement/ArithmeticLimit.h"
#include "runtime/measurement/ReadLimit.h"
#include "runtime/output/PendingFile.h"
#include "tools/commandline/CommandLine.h"
#include "tools/commandline/DeviceOption.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-bench/Machine.h"
#include "tools/grok-bench/Report.h"

#include <algorithm>
#include <map>

namespace grok::tools {
using runtime::BenchmarkCase;
using runtime::fail;
using runtime::Model;
using runtime::ReadLimit;
using runtime::Result;
using runtime::Session;

namespace {
struct BenchOptions {
  std::string artifact;
  int64_t promptTokens = 512;
  int64_t newTokens = 64;
  std::vector<int64_t> batches = {1, 8};
  std::vector<int64_t> depths = {0, 1024};
  int threads = 0;
  bool explain = false;
  runtime::DeviceKind device = runtime::DeviceKind::automatic;
  bool withoutGraphs = false;
  bool withoutPersistent = false;
  std::string jsonFile;
  std::string machineFile; // "-" = standard output
};
} // namespace

static constexpr const char *footer = R"(
Every run holds `batch` sequences of `depth` random tokens. Decode adds
--new-tokens tokens to each, one step at a time (median step); prefill adds
--prompt-tokens to sequences of the same depth. `read limit` is how fast all
threads together sum memory along 1, 2, 4 or 8 far-apart runs each, the best of several
loops that run between the decode steps, and which it was. `weight bytes per token` are those of one
step (for a batch: experts as chosen evenly and independently), divided by the
batch; `share` = weight bytes per token * decode tokens per second / read limit.
A model that fits into the caches may pass 100 %.)";

static void declareOptions(CommandLine &commandLine, BenchOptions &options) {
  CLI::App &app = commandLine.app();
  CLI::Option *artifact =
      app.add_option("ARTIFACT", options.artifact, "Folder written by grokc")->type_name("");
  app.add_option("--machine", options.machineFile,
                 "Measure this computer instead, and write it as a machine file for "
                 "grok-plan --devices (default: to standard output)")
      ->expected(0, 1)
      ->default_str("-")
      ->type_name("FILE.json")
      ->excludes(artifact);
  app.add_option("--prompt-tokens", options.promptTokens,
                 "Tokens per sequence of a prefill; 0 measures none (default 512)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""));
  app.add_option("--new-tokens", options.newTokens, "Decode steps; 0 measures none (default 64)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""));
  app.add_option("--batch", options.batches, "Sequences in a run (default 1,8)")
      ->type_name("N,N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::PositiveNumber.description(""));
  app.add_option("--depth", options.depths, "Tokens before the measured ones (default 0,1024)")
      ->type_name("N,N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::NonNegativeNumber.description(""));
  app.add_option("--threads", options.threads, "Worker threads (default: one per core)")
      ->type_name("N")
      ->check(threadRange());
  declareDevice(app, options.device);
  app.add_flag("--no-graphs", options.withoutGraphs,
               "On a GPU, launch every kernel by itself instead of a CUDA graph per step");
  app.add_flag("--no-persistent", options.withoutPersistent,
               "On a GPU, launch the kernels of a step one after the other even if the plan has "
               "one that does them all (grokc --persistent)");
  app.add_option("--json", options.jsonFile, "Also write the results as JSON")->type_name("FILE");
  app.add_flag("--explain", options.explain,
               "Also show where the time of a step goes, kernel by kernel, beside what the limits "
               "of this machine allow");
  app.footer(footer);
}

namespace {

/// Launches of one kind of timed part, over its repetitions.
struct Profile {
  std::vector<runtime::LaunchTiming> timings;
  double seconds = 0;
  double parts = 0;

  void add(double taken, const std::vector<runtime::LaunchTiming> &more) {
    seconds += taken;
    ++parts;
    if (timings.empty())
      timings = more;
    else
      for (size_t i = 0; i < timings.size(); ++i) {
        timings[i].seconds += more[i].seconds;
        timings[i].calls += more[i].calls;
      }
  }
  /// Every bucket begins with the same launch, once in a step.
  int64_t steps() const {
    uint64_t calls = 0;
    for (const runtime::LaunchTiming &timing : timings)
      if (timing.name == timings.front().name)
        calls += timing.calls;
    return static_cast<int64_t>(calls);
  }
};

/// One run of the tool.
class Bench {
public:
  Bench(const BenchOptions &options, ReadLimit limit, std::shared_ptr<const Model> model)
      : options(options), limit(std::move(limit)), model(std::move(model)) {
    report.model = this->model->info();
    report.withGraphs = report.model.hasDeviceMemory && !options.withoutGraphs;
    if (!report.model.hasWeights)
      report.notes.emplace_back(
          report.model.hasDeviceMemory
              ? "the plan was compiled without weights: a repeated pattern stands for them, and "
                "the router chooses by it"
              : "the plan was compiled without weights: zeros that take no memory stand for them, "
                "so the rates show arithmetic, not bandwidth");
    if (report.model.hasDeviceMemory)
      report.notes.emplace_back("read limit: a kernel that only reads the GPU's memory; kernels of "
                                "--explain are timed one by one, by events");
    if (report.model.drawsOnDevice)
      report.notes.emplace_back("steps draw their tokens on the device, the likeliest");
  }

  Result<Report> run();

private:
  Result<std::unique_ptr<Session>> openSession(int64_t sequences, int64_t pages) const;
  Result<void> prepare();
  Result<void> measure(int64_t batch, int64_t depth);
  Result<void> sampleLimits(Run &run);
  Result<void> sampleDevice(Run &run);
  void explain(Run &run, runtime::BenchmarkPart part, const Profile &profile) const;

  const BenchOptions &options;
  ReadLimit limit;
  double deviceRate = 0; // of a GPU, once measured
  std::shared_ptr<const Model> model;
  runtime::WeightTraffic traffic;
  Report report;
  ProgressLine progress{"grok-bench"};
};

} // namespace

Result<std::unique_ptr<Session>> Bench::openSession(int64_t sequences, int64_t pages) const {
  return Session::create(model, {.kvMemory = static_cast<uint64_t>(pages) * report.model.pageBytes,
                                 .sequences = static_cast<int>(sequences)});
}

/// Touches all weights, and learns from a one-row step what it reads.
Result<void> Bench::prepare() {
  const runtime::ModelInfo &info = report.model;
  Result<std::unique_ptr<Session>> session =
      openSession(1, runtime::pagesOf(info.maxContext, info.pageTokens));
  if (!session)
    return fail(session.error());
  runtime::SessionEngine engine(**session);
  const runtime::EngineLimits limits = runtime::limitsOf(info, (*session)->kvBytesReserved());
  if (Result<void> warm = runtime::warmUp(engine, limits); !warm)
    return warm;
  (*session)->setProfiling(true);
  const Result<int32_t> sequence = (*session)->createSequence();
  if (!sequence)
    return fail(sequence.error());
  const runtime::StepRow row{.token = 1, .sequence = *sequence};
  if (const Result<runtime::Logits> stepped = (*session)->step({&row, 1}); !stepped)
    return fail(stepped.error());
  traffic = runtime::sumTraffic((*session)->profile(), info);
  return {};
}

/// A GPU's limit does not change with its neighbours: once is enough.
Result<void> Bench::sampleDevice(Run &run) {
  if (deviceRate == 0) {
    const Result<std::optional<double>> rate = model->measureReadRate();
    if (!rate)
      return fail(rate.error());
    deviceRate = rate->value_or(0);
  }
  run.readLimit = {.bytesPerSecond = deviceRate, .runs = 1};
  run.roof.bytes = options.explain ? deviceRate : 0;
  return {};
}

/// The machine's limits, beside the measured steps.
Result<void> Bench::sampleLimits(Run &run) {
  const runtime::ModelInfo &info = report.model;
  if (info.hasDeviceMemory)
    return sampleDevice(run);
  const Result<runtime::ReadSample> sample = limit.sample(info.threads);
  if (!sample)
    return fail(sample.error());
  if (sample->bytesPerSecond > run.readLimit.bytesPerSecond)
    run.readLimit = *sample;
  if (!options.explain)
    return {};
  const auto arithmetic = [&](runtime::Arithmetic kind) {
    return runtime::measureArithmetic(kind, info.cpuLevel, info.threads);
  };
  runtime::Roof &roof = run.roof;
  roof.bytes = run.readLimit.bytesPerSecond;
  roof.floatMultiplyAdds =
      std::max(roof.floatMultiplyAdds, arithmetic(runtime::Arithmetic::floats));
  roof.integerMultiplyAdds =
      std::max(roof.integerMultiplyAdds, arithmetic(runtime::Arithmetic::integers));
  return {};
}

void Bench::explain(Run &run, runtime::BenchmarkPart part, const Profile &profile) const {
  const BenchmarkCase &measured = run.measured;
  const bool isDecode = part == runtime::BenchmarkPart::decode;
  const auto steps = static_cast<double>(profile.steps());
  const auto batch = static_cast<double>(measured.batch);
  const auto tokens = static_cast<double>(isDecode ? measured.newTokens : measured.promptTokens);
  runtime::StepShape shape;
  shape.rows = isDecode ? batch : batch * tokens * profile.parts / steps;
  shape.logitRows = isDecode ? batch : batch * profile.parts / steps;
  shape.sequences = isDecode ? batch : std::max(1.0, shape.rows / tokens);
  shape.positions = static_cast<double>(measured.depth) + (tokens + 1) / 2;
  (isDecode ? run.decode : run.prefill) = runtime::explainSteps(
      profile.timings, profile.steps(), profile.seconds, shape, report.model, run.roof);
}

Result<void> Bench::measure(int64_t batch, int64_t depth) {
  const runtime::ModelInfo &info = report.model;
  const BenchmarkCase wanted{.batch = batch,
                             .depth = depth,
                             .promptTokens = options.promptTokens,
                             .newTokens = options.newTokens,
                             .draws = info.drawsOnDevice};
  Run run{.measured = runtime::clipToContext(wanted, info.maxContext), .threads = info.threads};
  const BenchmarkCase &measured = run.measured;
  if (measured != wanted)
    report.notes.push_back("batch " + std::to_string(batch) + ", depth " + std::to_string(depth) +
                           ": the context holds " + std::to_string(info.maxContext) +
                           " tokens, measured depth " + std::to_string(measured.depth) + " with " +
                           std::to_string(measured.promptTokens) + " prompt and " +
                           std::to_string(measured.newTokens) + " new tokens");
  const Result<std::unique_ptr<Session>> session =
      openSession(batch, runtime::pagesOf(measured, info.pageTokens));
  if (!session)
    return fail("batch ", batch, ", depth ", depth, ", ", session.error());
  (*session)->setGraphs(!options.withoutGraphs);
  (*session)->setPersistent(!options.withoutPersistent);
  runtime::SessionEngine engine(**session);
  std::map<runtime::BenchmarkPart, Profile> profiles;
  runtime::BenchmarkHooks hooks = {.rest = [&] { return sampleLimits(run); }};
  if (options.explain) {
    hooks.begin = [&](runtime::BenchmarkPart) { (*session)->setProfiling(true); };
    hooks.end = [&](runtime::BenchmarkPart part, double seconds) {
      profiles[part].add(seconds, (*session)->profile());
      (*session)->setProfiling(false);
    };
  }
  const Result<runtime::BenchmarkResult> result = runtime::runBenchmark(
      engine, runtime::limitsOf(info, (*session)->kvBytesReserved()), measured, hooks);
  if (!result)
    return fail("batch ", batch, ", depth ", depth, ", ", result.error());
  for (const auto &[part, profile] : profiles)
    explain(run, part, profile);
  run.result = *result;
  // The profile is that of rank 0; the others of its replica read their parts.
  const double ranks = static_cast<double>(info.weightBytesPerToken) / traffic.bytesPerStep(1);
  run.weightBytesPerToken = ranks * traffic.bytesPerStep(batch) / static_cast<double>(batch);
  run.peakRssBytes = peakRssBytes();
  report.runs.push_back(run);
  return {};
}

Result<Report> Bench::run() {
  const int64_t maxRows = report.model.maxStepRows;
  for (int64_t batch : options.batches)
    if (batch > maxRows)
      return fail("--batch, ", batch, " is more than the ", maxRows,
                  " rows of a step, give less or compile with a larger --max-step-rows");
  if (Result<void> prepared = prepare(); !prepared)
    return fail(prepared.error());
  const auto total = static_cast<int64_t>(options.depths.size() * options.batches.size());
  for (int64_t depth : options.depths)
    for (int64_t batch : options.batches) {
      progress.show("runs", static_cast<int64_t>(report.runs.size()), total);
      if (Result<void> measured = measure(batch, depth); !measured)
        return fail(measured.error());
    }
  progress.clear();
  return report;
}

/// Opened before the work, so that a bad name is found at once.
static Result<std::optional<runtime::PendingFile>> openJson(const BenchOptions &options) {
  if (options.jsonFile.empty())
    return std::nullopt;
  Result<runtime::PendingFile> file = runtime::PendingFile::create(options.jsonFile);
  if (!file)
    return fail("--json: ", file.error());
  return std::optional<runtime::PendingFile>(std::move(*file));
}

static Result<void> bench(const BenchOptions &options) {
  Result<std::optional<runtime::PendingFile>> json = openJson(options);
  if (!json)
    return fail(json.error());
  // Before the model's threads exist: a fork copies only the calling one.
  Result<ReadLimit> limit = ReadLimit::start();
  if (!limit)
    return fail(limit.error());
  runtime::LoadOptions loadOptions;
  loadOptions.threads = options.threads;
  loadOptions.zeroWeights = true;
  loadOptions.device = options.device;
  Result<std::shared_ptr<const Model>> model = Model::load(options.artifact, loadOptions);
  if (!model)
    return fail(model.error());
  const Result<Report> report = Bench(options, std::move(*limit), *model).run();
  if (!report)
    return fail(report.error());
  if (*json)
    if (Result<void> written = (*json)->append(toJson(*report).dump(2) + '\n').and_then([&] {
          return (*json)->commit();
        });
        !written)
      return fail("--json: ", written.error());
  return writeOut(toTable(*report));
}

static Result<void> writeMachine(const BenchOptions &options) {
  const Result<nlohmann::ordered_json> machine = measureMachine(options.threads);
  if (!machine)
    return fail(machine.error());
  const std::string text = machine->dump(2) + '\n';
  if (options.machineFile == "-")
    return writeOut(text);
  Result<runtime::PendingFile> file = runtime::PendingFile::create(options.machineFile);
  if (!file)
    return fail("--machine: ", file.error());
  return file->append(text).and_then([&] { return file->commit(); });
}

static int runMain(int argc, char **argv) {
  CommandLine commandLine("grok-bench", "Measures the speed of a compiled model.");
  BenchOptions options;
  declareOptions(commandLine, options);
  if (const std::optional<int> status = commandLine.parse(argc, argv))
    return *status;
  if (!options.machineFile.empty()) {
    const Result<void> done = writeMachine(options);
    return done ? exitDone : commandLine.reportError(done.error());
  }
  if (options.artifact.empty())
    return commandLine.reportUsage("ARTIFACT is required");
  if (options.promptTokens == 0 && options.newTokens == 0)
    return commandLine.reportUsage(
        "nothing to measure, give --prompt-tokens or --new-tokens above 0");
  const Result<void> done = bench(options);
  return done ? exitDone : commandLine.reportError(done.error());
}

} // namespace grok::tools

int main(int argc, char **argv) {
  grok::tools::refuseBrokenPipes();
  return grok::tools::runTool("grok-bench", [&] { return grok::tools::runMain(argc, argv); });
}
