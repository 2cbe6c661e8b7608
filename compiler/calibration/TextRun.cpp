// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Feeding a text, window by window.
#include "compiler/calibration/TextRun.h"

#include <algorithm>

using namespace grok;
using namespace grok::calibration;

static tl::unexpected<std::string> lastError() {
  return tl::unexpected(std::string(grokLastError()));
}

int64_t calibration::countWindows(size_t ids, int64_t window) {
  return ids == 0 ? 0 : static_cast<int64_t>(ids - 1) / window;
}

/// Windows to learn from.
static int64_t countLearning(int64_t windows) {
  return windows - std::min(windows - 1, std::max<int64_t>(1, windows / 10));
}

TextSlice calibration::learningSlice(std::span<const int32_t> ids, int64_t window) {
  const int64_t windows = countWindows(ids.size(), window);
  return {ids, window, 0, windows ? countLearning(windows) : 0};
}

TextSlice calibration::checkingSlice(std::span<const int32_t> ids, int64_t window) {
  const TextSlice learning = learningSlice(ids, window);
  return {ids, window, learning.count, countWindows(ids.size(), window) - learning.count};
}

Result<TextRun> TextRun::load(const std::string &artifact, int threads) {
  TextRun run;
  GrokLoadOptions options{};
  options.size = sizeof(options);
  options.threads = threads;
  run.model.reset(grokModelLoad(artifact.c_str(), &options));
  run.modelInfo.size = sizeof(run.modelInfo);
  if (!run.model || grokModelInfo(run.model.get(), &run.modelInfo) != 0)
    return lastError();
  return run;
}

void TextRun::observe(GrokObserver newObserver, void *user) {
  observer = newObserver, observerData = user;
  if (session)
    grokSessionObserve(session.get(), observer, observerData);
}

Result<void> TextRun::open(int64_t sequences) {
  GrokSessionOptions options{};
  options.size = sizeof(options);
  options.sequences = static_cast<int32_t>(sequences);
  session.reset(grokSessionCreate(model.get(), &options));
  if (!session)
    return lastError();
  observe(observer, observerData);
  return {};
}

namespace grok::calibration {
/// A slice on its way through some runs.
class Feeding {
public:
  Feeding(std::span<TextRun *const> runs, const TextSlice &slice, const FeedHooks &hooks)
      : runs(runs), slice(slice), hooks(hooks) {}
  Result<void> feedAll();

private:
  Result<void> feedTogether(int64_t first, int64_t count);
  Result<void> step(const FedStep &fed, int64_t first);

  std::span<TextRun *const> runs;
  const TextSlice &slice;
  const FeedHooks &hooks;
  int64_t maxRows = 0;
};
} // namespace grok::calibration

Result<void> Feeding::step(const FedStep &fed, int64_t first) {
  if (hooks.before)
    hooks.before(fed);
  std::vector<GrokLogits> logits;
  for (TextRun *run : runs) {
    std::vector<GrokStepRow> rows;
    rows.reserve(fed.tokens.size());
    for (size_t i = 0; i < fed.tokens.size(); ++i)
      rows.push_back({fed.tokens[i], run->sequences[fed.windows[i] - first], hooks.after ? 1 : 0});
    if (grokStep(run->session.get(), rows.data(), rows.size(), &logits.emplace_back()) != 0)
      return lastError();
  }
  return hooks.after ? hooks.after(fed, logits) : Result<void>{};
}

/// Windows that fit into one step, or a single one in chunks.
Result<void> Feeding::feedTogether(int64_t first, int64_t count) {
  for (TextRun *run : runs)
    for (int64_t w = 0; w < count; ++w)
      if (run->sequences.emplace_back(grokSequenceCreate(run->session.get())) < 0)
        return lastError();
  const int64_t chunk = std::min(slice.window, maxRows / count);
  for (int64_t begin = 0; begin < slice.window; begin += chunk) {
    FedStep fed;
    for (int64_t w = first; w < first + count; ++w)
      for (int64_t i = begin; i < std::min(begin + chunk, slice.window); ++i) {
        fed.tokens.push_back(slice.ids[w * slice.window + i]);
        fed.targets.push_back(slice.ids[w * slice.window + i + 1]);
        fed.windows.push_back(w);
      }
    if (auto done = step(fed, first); !done)
      return done;
  }
  for (TextRun *run : runs) {
    for (int32_t sequence : run->sequences)
      if (grokSequenceFree(run->session.get(), sequence) != 0)
        return lastError();
    run->sequences.clear();
  }
  return {};
}

Result<void> Feeding::feedAll() {
  maxRows = runs.front()->info().maxStepRows;
  for (const TextRun *run : runs) {
    maxRows = std::min(maxRows, run->info().maxStepRows);
    if (slice.window > run->info().maxContext)
      return tl::unexpected("windows of " + std::to_string(slice.window) +
                            " tokens, the artifact holds " +
                            std::to_string(run->info().maxContext));
  }
  const int64_t together = std::max<int64_t>(1, std::min(maxRows / slice.window, slice.count));
  for (TextRun *run : runs)
    if (auto opened = run->open(together); !opened)
      return opened;
  for (int64_t done = 0; done < slice.count; done += together)
    if (auto fed = feedTogether(slice.first + done, std::min(together, slice.count - done)); !fed)
      return fed;
  return {};
}

Result<void> calibration::feed(std::span<TextRun *const> runs, const TextSlice &slice,
                               const FeedHooks &hooks) {
  return Feeding(runs, slice, hooks).feedAll();
}
