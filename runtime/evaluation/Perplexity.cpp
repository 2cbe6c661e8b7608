// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace grok::runtime {

double Perplexity::perplexity() const { return std::exp(meanNll); }

double Perplexity::bitsPerByte(int64_t bytes) const {
  return meanNll * static_cast<double>(tokens) / std::numbers::ln2 / static_cast<double>(bytes);
}

double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - top);
  return std::log(sum) + (top - logits[static_cast<size_t>(target)]);
}

int64_t countWindows(size_t ids, int64_t window) {
  return ids == 0 ? 0 : static_cast<int64_t>(ids - 1) / window;
}

namespace {

/// A window being fed.
struct Window {
  std::span<const int32_t> inputs;
  std::span<const int32_t> targets;
  int32_t sequence;
  double nll = 0; // summed by position, so that batching changes no bit
};

} // namespace

static Result<std::vector<Window>> openWindows(StepEngine &engine, std::span<const int32_t> ids,
                                               int64_t window, int64_t first, int64_t count) {
  std::vector<Window> windows;
  for (int64_t w = first; w < first + count; ++w) {
    const Result<int32_t> sequence = engine.createSequence();
    if (!sequence)
      return fail(sequence.error());
    const auto offset = static_cast<size_t>(w * window);
    const auto length = static_cast<size_t>(window);
    windows.push_back({.inputs = ids.subspan(offset, length),
                       .targets = ids.subspan(offset + 1, length),
                       .sequence = *sequence});
  }
  return windows;
}

/// Feeds positions [begin, end) of every window in one step and adds up.
static Result<void> scorePositions(StepEngine &engine, std::span<Window> windows, size_t begin,
                                   size_t end) {
  std::vector<StepRow> rows;
  for (const Window &window : windows)
    for (size_t i = begin; i < end; ++i)
      rows.push_back({.token = window.inputs[i], .sequence = window.sequence});
  const Result<Logits> logits = engine.step(rows);
  if (!logits)
    return fail(logits.error());
  int64_t row = 0;
  for (Window &window : windows)
    for (size_t i = begin; i < end; ++i) {
      const double nll = negativeLogLikelihood(logits->row(row++), window.targets[i]);
      if (!std::isfinite(nll))
        return fail("the logits after position ", i,
                    " of a window are not finite, the weights or the computation are damaged");
      window.nll += nll;
    }
  return {};
}

Result<Perplexity> measurePerplexity(StepEngine &engine, const EngineLimits &limits,
                                     std::span<const int32_t> ids, int64_t window,
                                     const std::function<void(int64_t)> &showProgress) {
  const int64_t total = countWindows(ids.size(), window);
  const int64_t pages = pagesOf(window, limits.pageTokens);
  const int64_t together =
      std::max<int64_t>(1, std::min(limits.maxStepRows / window, limits.pages / pages));
  const auto chunk = static_cast<size_t>(std::min(window, limits.maxStepRows / together));
  double nll = 0;
  for (int64_t first = 0; first < total; first += together) {
    const int64_t count = std::min(together, total - first);
    Result<std::vector<Window>> windows = openWindows(engine, ids, window, first, count);
    if (!windows)
      return fail(windows.error());
    for (size_t begin = 0; begin < size_t(window); begin += chunk) {
      const size_t end = std::min(begin + chunk, size_t(window));
      if (Result<void> scored = scorePositions(engine, *windows, begin, end); !scored)
        return fail(scored.error());
    }
    for (const Window &done : *windows) {
      nll += done.nll;
      if (Result<void> freed = engine.freeSequence(done.sequence); !freed)
        return fail(freed.error());
    }
    if (showProgress)
      showProgress(first + count);
  }
  const int64_t tokens = total * window;
  return Perplexity{.tokens = tokens,
                    .windows = total,
                    .meanNll = tokens == 0 ? 0 : nll / static_cast<double>(tokens)};
}

} // namespace grok::runtime
