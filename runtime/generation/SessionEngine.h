// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Generation over a real model.
#pragma once

#include "runtime/generation/Generation.h"

namespace grok::runtime {

class SessionEngine : public StepEngine {
public:
  /// `session` must outlive the engine.
  explicit SessionEngine(Session &session) : session(session) {}

  Result<int32_t> createSequence() override { return session.createSequence(); }
  Result<void> freeSequence(int32_t sequence) override { return session.freeSequence(sequence); }
  Result<Logits> step(std::span<const StepRow> rows) override { return session.step(rows); }
  Result<void> stepAndDraw(std::span<const StepRow> rows, std::span<const GrokDraw> draws,
                           std::span<int32_t> drawn) override {
    return session.stepAndDraw(rows, draws, drawn);
  }

private:
  Session &session;
};

/// What a session with `kvBytes` of key/value memory holds.
inline EngineLimits limitsOf(const ModelInfo &model, uint64_t kvBytes) {
  return {.vocabSize = model.vocabSize,
          .maxContext = model.maxContext,
          .maxStepRows = model.maxStepRows,
          .pageTokens = model.pageTokens,
          .pages = static_cast<int64_t>(kvBytes / model.pageBytes),
          .pageBytes = model.pageBytes};
}

} // namespace grok::runtime
