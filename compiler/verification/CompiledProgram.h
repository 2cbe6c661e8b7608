// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compiled artifact run step by step through the runtime's public interface.
#pragma once

#include "compiler/verification/Recording.h"

#include <memory>
#include <span>

namespace grok::verification {

/// One token to feed at the next position of its sequence.
struct StepRow {
  int32_t token;
  int32_t sequence; // 0, 1, 2, ...
};

class CompiledProgram {
public:
  /// Loads the artifact with room for `sequences` sequences. `cpuLevel` empty:
  /// the best of this machine; `threads` 0: one per core.
  static Result<CompiledProgram> load(const std::string &artifact, const std::string &cpuLevel,
                                      int threads, int sequences);

  const GrokModelInfo &info() const { return modelInfo; }

  /// Feeds the rows, all of whose logits are wanted, and returns every launch
  /// in the order in which they ran.
  Result<std::vector<RecordedLaunch>> step(std::span<const StepRow> rows);

private:
  CompiledProgram() = default;

  struct FreeModel {
    void operator()(GrokModel *model) const { grokModelFree(model); }
  };
  struct FreeSession {
    void operator()(GrokSession *session) const { grokSessionFree(session); }
  };
  std::unique_ptr<GrokModel, FreeModel> model;
  std::unique_ptr<GrokSession, FreeSession> session;
  GrokModelInfo modelInfo{};
};

} // namespace grok::verification
