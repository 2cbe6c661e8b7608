// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Timing of prefill and decode.
#pragma once

#include "runtime/generation/Generation.h"
#include <functional>

namespace grok::runtime {

/// One measurement: `batch` sequences that already hold `depth` tokens each.
struct BenchmarkCase {
  int64_t batch = 1;
  int64_t depth = 0;
  int64_t promptTokens = 0;
  int64_t newTokens = 0;
  bool draws = false; // the new tokens, greedily, instead of taking logits

  bool operator==(const BenchmarkCase &) const = default;
};

/// The case with depth, then prompt, shortened to what the context holds.
BenchmarkCase clipToContext(BenchmarkCase wanted, int64_t maxContext);

/// Key/value pages that the case takes.
int64_t pagesOf(const BenchmarkCase &measured, int64_t pageTokens);

struct BenchmarkResult {
  /// Prompt tokens of all sequences per second, each sequence from `depth` on.
  double prefillTokensPerSecond = 0;
  /// New tokens of all sequences per second by the median step; steps begin at
  /// `depth`.
  double decodeTokensPerSecond = 0;
};

/// One untimed step that touches all weights, so that the first case does not
/// pay for reading them from disk.
Result<void> warmUp(StepEngine &engine, const EngineLimits &limits);

enum class BenchmarkPart { decode, prefill };

struct BenchmarkHooks {
  /// Called between timed parts, for measurements of the machine beside those of
  /// the model.
  std::function<Result<void>()> rest;
  /// Called around the timed steps; `seconds` excludes rests. May be empty.
  std::function<void(BenchmarkPart)> begin = nullptr;
  std::function<void(BenchmarkPart, double seconds)> end = nullptr;
};

/// Runs the case on random tokens.
Result<BenchmarkResult> runBenchmark(StepEngine &engine, const EngineLimits &limits,
                                     const BenchmarkCase &measured, const BenchmarkHooks &hooks);

/// Weights that a step reads: of the experts selected by one row, and the others.
struct WeightTraffic {
  uint64_t expertBytes = 0;
  uint64_t otherBytes = 0;
  int64_t numExperts = 1;
  int64_t numSelectedExperts = 1;

  /// Expected for a step of `batch` rows that choose experts independently and
  /// evenly: X (1 - (1 - k/X)^batch) distinct experts are read.
  double bytesPerStep(int64_t batch) const;
};

/// Traffic of a one-row step, from its launches.
WeightTraffic sumTraffic(std::span<const LaunchTiming> launches, const ModelInfo &model);

} // namespace grok::runtime
