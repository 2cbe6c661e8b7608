// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Benchmark.h"
#include "runtime/measurement/Explanation.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

namespace grok::runtime {

/// A prefill is repeated until it has taken this long in all, so that a small
/// model is not judged by a millisecond; a large one runs once.
static constexpr double enoughSeconds = 0.5;
static constexpr int maxPrefills = 5;
/// Enough rows that every expert of every layer is chosen by one.
static constexpr int64_t warmUpRows = 64;
/// Decode steps between two rests.
static constexpr int64_t stepsBetweenRests = 16;

BenchmarkCase clipToContext(BenchmarkCase wanted, int64_t maxContext) {
  wanted.newTokens = std::min(wanted.newTokens, maxContext);
  wanted.depth = std::min(wanted.depth, maxContext - wanted.newTokens);
  wanted.promptTokens = std::min(wanted.promptTokens, maxContext - wanted.depth);
  return wanted;
}

int64_t pagesOf(const BenchmarkCase &measured, int64_t pageTokens) {
  const int64_t positions = measured.depth + std::max(measured.promptTokens, measured.newTokens);
  return measured.batch * pagesOf(positions, pageTokens);
}

static double medianOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

namespace {

/// The sequences of one case.
class Batch {
public:
  Batch(StepEngine &engine, const EngineLimits &limits, bool draws = false)
      : engine(engine), limits(limits), draws(draws) {}

  Result<void> open(int64_t count);
  Result<void> close();
  /// Seconds to feed `tokens` random tokens to every sequence.
  Result<double> feed(int64_t tokens);

private:
  int32_t randomToken() {
    // Not pad, which no key may see.
    return static_cast<int32_t>(1 + random() % static_cast<uint64_t>(limits.vocabSize - 1));
  }
  Result<void> flush();

  StepEngine &engine;
  const EngineLimits &limits;
  bool draws;
  std::mt19937_64 random{1}; // NOLINT(bugprone-random-generator-seed): comparable runs
  std::vector<int32_t> sequences;
  std::vector<StepRow> rows;
  std::vector<GrokDraw> likeliest;
  std::vector<int32_t> drawn;
};

} // namespace

Result<void> Batch::open(int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const Result<int32_t> sequence = engine.createSequence();
    if (!sequence)
      return fail(sequence.error());
    sequences.push_back(*sequence);
  }
  return {};
}

Result<void> Batch::close() {
  for (int32_t sequence : sequences)
    if (Result<void> freed = engine.freeSequence(sequence); !freed)
      return freed;
  sequences.clear();
  return {};
}

Result<void> Batch::flush() {
  Result<void> done;
  if (draws) {
    const auto wanted = std::ranges::count_if(rows, &StepRow::wantLogits);
    likeliest.assign(static_cast<size_t>(wanted), GrokDraw{grokDrawTop, 0, 0, 0});
    drawn.resize(likeliest.size());
    done = engine.stepAndDraw(rows, likeliest, drawn);
  } else {
    done = engine.step(rows).map([](const Logits &) {});
  }
  rows.clear();
  return done;
}

Result<double> Batch::feed(int64_t tokens) {
  const auto begin = std::chrono::steady_clock::now();
  for (int32_t sequence : sequences)
    for (int64_t i = 0; i < tokens; ++i) {
      rows.push_back({.token = randomToken(), .sequence = sequence, .wantLogits = i == tokens - 1});
      if (static_cast<int64_t>(rows.size()) < limits.maxStepRows)
        continue;
      if (Result<void> stepped = flush(); !stepped)
        return fail(stepped.error());
    }
  if (!rows.empty())
    if (Result<void> stepped = flush(); !stepped)
      return fail(stepped.error());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

namespace {

/// Tells the hooks about the timed steps between its making and `end`.
class TimedPart {
public:
  TimedPart(const BenchmarkHooks &hooks, BenchmarkPart part) : hooks(hooks), part(part) {
    if (hooks.begin)
      hooks.begin(part);
  }
  void end(double seconds) const {
    if (hooks.end)
      hooks.end(part, seconds);
  }

private:
  const BenchmarkHooks &hooks;
  BenchmarkPart part;
};

} // namespace

/// Seconds of one prefill, with new sequences of their own.
static Result<double> timePrefill(Batch &batch, const BenchmarkCase &measured,
                                  const BenchmarkHooks &hooks) {
  if (Result<double> filled =
          batch.open(measured.batch).and_then([&] { return batch.feed(measured.depth); });
      !filled)
    return filled;
  const TimedPart part(hooks, BenchmarkPart::prefill);
  Result<double> seconds = batch.feed(measured.promptTokens);
  if (!seconds)
    return seconds;
  part.end(*seconds);
  if (Result<void> closed = batch.close(); !closed)
    return fail(closed.error());
  return seconds;
}

/// Median seconds of one decode step.
static Result<double> timeDecode(Batch &batch, const BenchmarkCase &measured,
                                 const BenchmarkHooks &hooks) {
  if (Result<double> filled =
          batch.open(measured.batch).and_then([&] { return batch.feed(measured.depth); });
      !filled)
    return filled;
  const TimedPart part(hooks, BenchmarkPart::decode);
  std::vector<double> seconds;
  for (int64_t step = 0; step < measured.newTokens; ++step) {
    if (step % stepsBetweenRests == 0)
      if (Result<void> rested = hooks.rest(); !rested)
        return fail(rested.error());
    const Result<double> taken = batch.feed(1);
    if (!taken)
      return taken;
    seconds.push_back(*taken);
  }
  part.end(std::accumulate(seconds.begin(), seconds.end(), 0.0));
  if (Result<void> closed = batch.close(); !closed)
    return fail(closed.error());
  return medianOf(std::move(seconds));
}

Result<void> warmUp(StepEngine &engine, const EngineLimits &limits) {
  Batch batch(engine, limits);
  const int64_t tokens = std::min({warmUpRows, limits.maxStepRows, limits.maxContext});
  Result<double> fed = batch.open(1).and_then([&] { return batch.feed(tokens); });
  return fed ? batch.close() : fail(fed.error());
}

Result<BenchmarkResult> runBenchmark(StepEngine &engine, const EngineLimits &limits,
                                     const BenchmarkCase &measured, const BenchmarkHooks &hooks) {
  BenchmarkResult result;
  Batch batch(engine, limits, measured.draws);
  if (measured.newTokens > 0) {
    const Result<double> seconds = timeDecode(batch, measured, hooks);
    if (!seconds)
      return fail(seconds.error());
    result.decodeTokensPerSecond = static_cast<double>(measured.batch) / *seconds;
  }
  if (Result<void> rested = hooks.rest(); !rested)
    return fail(rested.error());
  std::vector<double> prefills;
  double total = 0;
  while (measured.promptTokens > 0 && total < enoughSeconds && prefills.size() < maxPrefills) {
    const Result<double> seconds = timePrefill(batch, measured, hooks);
    if (!seconds)
      return fail(seconds.error());
    prefills.push_back(*seconds);
    total += *seconds;
  }
  if (!prefills.empty())
    result.prefillTokensPerSecond =
        static_cast<double>(measured.batch * measured.promptTokens) / medianOf(prefills);
  return result;
}

double WeightTraffic::bytesPerStep(int64_t batch) const {
  return static_cast<double>(otherBytes) +
         static_cast<double>(expertBytes) *
             expertFactor(numExperts, numSelectedExperts, static_cast<double>(batch));
}

WeightTraffic sumTraffic(std::span<const LaunchTiming> launches, const ModelInfo &model) {
  WeightTraffic traffic{.numExperts = model.numExperts,
                        .numSelectedExperts = model.numSelectedExperts};
  for (const LaunchTiming &launch : launches) {
    if (launch.calls == 0)
      continue;
    const bool readsExperts = launch.op == "gate_up" || launch.op == "down_combine";
    (readsExperts ? traffic.expertBytes : traffic.otherBytes) += launch.weightBytes;
  }
  return traffic;
}

} // namespace grok::runtime
