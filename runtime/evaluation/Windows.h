// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A text fed in non-overlapping windows, each a fresh sequence from position 0.
#pragma once

#include "runtime/generation/Generation.h"
#include <functional>

namespace grok::runtime {

/// Windows of `window` inputs that fit: window w has inputs ids[w * window ...]
/// and the same ids shifted by one as targets.
int64_t countWindows(size_t ids, int64_t window);

/// Engines that are fed side by side, and what all of them can hold.
struct WindowedText {
  std::span<const int32_t> ids;
  int64_t window = 0;
  EngineLimits limits;
};

/// The target of one position and, by engine, the logits after its input.
struct ScoredPosition {
  int64_t window = 0;   // of the text
  int64_t position = 0; // in the window
  int32_t target = 0;
  std::span<const std::span<const float>> logits;
};

struct WindowHooks {
  /// Positions of one window come in order. An error ends the feeding.
  std::function<Result<void>(const ScoredPosition &)> score;
  std::function<void(int64_t)> showProgress; // windows done; may be empty
};

/// Feeds every window, as many in one step as fit, one step of each engine after
/// the other. The rest that fills no window is dropped.
Result<void> feedWindows(std::span<StepEngine *const> engines, const WindowedText &text,
                         const WindowHooks &hooks);

} // namespace grok::runtime
