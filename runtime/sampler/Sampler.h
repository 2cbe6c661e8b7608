// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Turns one row of logits into the next token: greedy, or drawn at a
// temperature from the nucleus of the distribution.
#pragma once

#include "runtime/Result.h"
#include "runtime/plan/KernelABI.h"
#include <cstdint>
#include <span>
#include <vector>

namespace grok::runtime {

/// How tokens are drawn. Temperature 0 is greedy; topP 1 keeps everything.
struct SamplingOptions {
  double temperature = 0;
  double topP = 1;
  uint64_t seed = 0;
};

/// One line that says which option is out of range, or nothing.
Result<void> checkSampling(const SamplingOptions &options);

/// Draws a token from logits, [vocab], by integers alone, so that a GPU that has the
/// same logits draws the same token (docs/numerics.md, "Sampling"). Gives the token, or,
/// if a logit is not finite, ~id of the first such one. `weights` is room to work in.
int32_t drawToken(std::span<const float> logits, const GrokDraw &draw, std::vector<float> &weights);

/// What drawToken gave, as a token or as why there is none.
Result<int32_t> tokenOf(int32_t drawn);

/// Draws the tokens of one sequence. Same options and logits give the same
/// tokens: draw n of a seed does not depend on time, threads or other
/// sequences. Not safe for use from two threads at once.
///
/// The distribution is the reference's (softmax of logits / temperature over
/// its nucleus), the random numbers are ours.
class Sampler {
public:
  /// `options` must have passed checkSampling.
  explicit Sampler(const SamplingOptions &options) : options(options) {}

  /// How the next token is to be drawn, by whoever has its logits.
  GrokDraw nextDraw();

  /// The next token; the lowest id wins ties in greedy mode. Fails on a logit
  /// that is not finite, which no healthy model gives.
  Result<int32_t> sample(std::span<const float> logits);

private:
  uint64_t nextRandom();

  SamplingOptions options;
  uint64_t draws = 0;
  std::vector<float> weights; // [vocab]
};

} // namespace grok::runtime
