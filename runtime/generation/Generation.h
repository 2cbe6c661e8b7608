// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From prompts to new tokens: which rows go into which step, and when to stop.
#pragma once

#include "runtime/Result.h"
#include "runtime/sampler/Sampler.h"
#include "runtime/session/Session.h"
#include <optional>

namespace grok::runtime {

/// What generation needs of a session; tests put a toy model here.
class StepEngine {
public:
  virtual ~StepEngine() = default;
  virtual Result<int32_t> createSequence() = 0;
  virtual Result<void> freeSequence(int32_t sequence) = 0;
  virtual Result<Logits> step(std::span<const StepRow> rows) = 0;
  /// As Session::stepAndDraw.
  virtual Result<void> stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                                   std::span<int32_t> drawn) = 0;
};

/// What the engine can hold.
struct EngineLimits {
  int64_t vocabSize = 0;
  int64_t maxContext = 0;  // positions of one sequence
  int64_t maxStepRows = 0; // rows of one step
  int64_t pageTokens = 1;  // positions of one key/value page
  int64_t pages = 0;       // key/value pages in all
  uint64_t pageBytes = 0;  // of one page, for messages
};

struct GenerationOptions {
  int64_t maxNewTokens = 0;                        // 0 only feeds the prompt
  SamplingOptions sampling = {};                   // each prompt draws as if it were alone
  std::optional<int32_t> stopToken = std::nullopt; // such as end of sequence
  int64_t prefillChunk = 0;   // prompt rows of one sequence in a step; 0 = no limit
  bool wantAllLogits = false; // else only of rows that a token is drawn from
};

/// Receives what is made. Any error ends the run with that error.
class GenerationListener {
public:
  virtual ~GenerationListener() = default;
  /// Logits after a fed token, in the order of positions; with wantAllLogits.
  virtual Result<void> takeLogits(size_t prompt, std::span<const float> logits) { return {}; }
  /// A new token; false = this prompt needs no more.
  virtual Result<bool> takeToken(size_t prompt, int32_t token) = 0;
  /// No more tokens for this prompt.
  virtual Result<void> finish(size_t prompt) { return {}; }
  /// After every step: prompt tokens fed so far, of all prompts.
  virtual void showProgress(int64_t promptTokensFed) {}
};

/// Positions that a prompt takes: the last new token is never fed.
int64_t positionsOf(int64_t promptTokens, int64_t maxNewTokens);

/// Key/value pages for that many positions.
int64_t pagesOf(int64_t positions, int64_t pageTokens);

/// Why the prompt cannot be run: empty, too long, or ids out of range.
Result<void> checkPrompt(std::span<const int32_t> prompt, const GenerationOptions &options,
                         const EngineLimits &limits);

/// Runs all prompts (which must have passed checkPrompt) together: a step takes
/// one row of each prompt that is past its prefill, then prompt rows as many as
/// fit. Prompts wait for their turn while pages or rows are short, so that a
/// started prompt always finishes. The result does not depend on this order.
Result<void> generate(StepEngine &engine, const EngineLimits &limits,
                      const GenerationOptions &options,
                      std::span<const std::vector<int32_t>> prompts, GenerationListener &listener);

} // namespace grok::runtime
