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

/// What a calibration learns from: all windows but the last tenth.
TextSlice learningSlice(std::span<const int32_t> ids, int64_t window);
/// What it is checked on: the last tenth, at least one window if there are two.
TextSlice checkingSlice(std::span<const int32_t> ids, int64_t window);

/// One step, as it was fed.
struct FedStep {
  std::vector<int32_t> tokens, targets; // [rows]
  std::vector<int64_t> windows;         // of the text, [rows]
};

/// A loaded artifact and a session of it.
class TextRun {
public:
  /// `threads` 0: one per core.
  static Result<TextRun> load(const std::string &artifact, int threads);

  const GrokModelInfo &info() const { return modelInfo; }
  /// Launches of later steps are shown to the observer; null switches off.
  void observe(GrokObserver observer, void *user);

private:
  friend class Feeding;
  struct Free {
    void operator()(GrokModel *model) const { grokModelFree(model); }
    void operator()(GrokSession *session) const { grokSessionFree(session); }
  };

  TextRun() = default;
  Result<void> open(int64_t sequences);

  std::unique_ptr<GrokModel, Free> model;
  std::unique_ptr<GrokSession, Free> session;
  std::vector<int32_t> sequences; // of the windows that are being fed
  GrokModelInfo modelInfo{};
  GrokObserver observer = nullptr;
  void *observerData = nullptr;
};

struct FeedHooks {
  std::function<void(const FedStep &)> before;
  /// With this hook all rows want logits; one result for each run. An error
  /// ends the feeding.
  std::function<Result<void>(const FedStep &, std::span<const GrokLogits>)> after;
};

/// Feeds every window of the slice to all runs, side by side, as many windows in
/// one step as fit.
Result<void> feed(std::span<TextRun *const> runs, const TextSlice &slice, const FeedHooks &hooks);

} // namespace grok::calibration
