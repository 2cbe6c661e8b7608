// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compiled artifact run over windows of a text, through the runtime's public
// interface.
#pragma once

#include "runtime/grok.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace grok::calibration {

template <typename T> using Result = tl::expected<T, std::string>;

/// Windows [first, first + count) of a text. Window w has the inputs
/// ids[w * window ...] and the same shifted by one as targets; each is a
/// sequence of its own.
struct TextSlice {
  std::span<const int32_t> ids;
  int64_t window = 256;
  int64_t first = 0, count = 0;
};

/// Windows that fit into a text of `ids` tokens.
int64_t countWindows(size_t ids, int64_t window);

/// One step, as it was fed.
struct FedStep {
  std::vector<int32_t> tokens, targets; // [rows]
  std::vector<int64_t> windows;         // of the text, [rows]
};

/// A loaded artifact.
class TextRun {
public:
  /// `threads` 0: one per core.
  static Result<TextRun> load(const std::string &artifact, int threads);

  const GrokModelInfo &info() const { return modelInfo; }

  struct Hooks {
    /// Before a step whose launches `observer` will see.
    std::function<void(const FedStep &)> before;
    GrokObserver observer = nullptr;
    void *user = nullptr; // of the observer
    /// After a step; with this hook all rows want logits. A text stops the run.
    std::function<Result<void>(const FedStep &, const GrokLogits &)> after;
  };
  /// Feeds every window of the slice, as many in one step as fit.
  Result<void> feed(const TextSlice &slice, const Hooks &hooks);

private:
  struct Free {
    void operator()(GrokModel *model) const { grokModelFree(model); }
    void operator()(GrokSession *session) const { grokSessionFree(session); }
  };

  TextRun() = default;
  Result<void> feedTogether(const TextSlice &slice, const Hooks &hooks);
  Result<void> step(const FedStep &fed, std::span<const int32_t> sequences, const Hooks &hooks);

  std::unique_ptr<GrokModel, Free> model;
  std::unique_ptr<GrokSession, Free> session;
  GrokModelInfo modelInfo{};
};

} // namespace grok::calibration
