// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/evaluation/Windows.h"

#include <algorithm>

namespace grok::runtime {

int64_t countWindows(size_t ids, int64_t window) {
  return ids == 0 ? 0 : static_cast<int64_t>(ids - 1) / window;
}

namespace {

/// Windows that are being fed together.
class Feeding {
public:
  Feeding(std::span<StepEngine *const> engines, const WindowedText &text, const WindowHooks &hooks,
          int64_t first, int64_t count)
      : engines(engines), text(text), hooks(hooks), first(first), count(count) {}

  Result<void> open();
  Result<void> step(int64_t begin, int64_t end);
  Result<void> close();

private:
  size_t idOf(int64_t window, int64_t position) const {
    return static_cast<size_t>((first + window) * text.window + position);
  }

  std::span<StepEngine *const> engines;
  const WindowedText &text;
  const WindowHooks &hooks;
  int64_t first, count;
  std::vector<std::vector<int32_t>> sequences; // [engine][window]
};

} // namespace

Result<void> Feeding::open() {
  for (StepEngine *engine : engines) {
    std::vector<int32_t> &created = sequences.emplace_back();
    for (int64_t window = 0; window < count; ++window) {
      const Result<int32_t> sequence = engine->createSequence();
      if (!sequence)
        return fail(sequence.error());
      created.push_back(*sequence);
    }
  }
  return {};
}

/// Feeds positions [begin, end) of every window in one step and scores them.
Result<void> Feeding::step(int64_t begin, int64_t end) {
  std::vector<Logits> logits;
  for (size_t e = 0; e < engines.size(); ++e) {
    std::vector<StepRow> rows;
    for (int64_t window = 0; window < count; ++window)
      for (int64_t i = begin; i < end; ++i)
        rows.push_back({.token = text.ids[idOf(window, i)],
                        .sequence = sequences[e][static_cast<size_t>(window)]});
    const Result<Logits> stepped = engines[e]->step(rows);
    if (!stepped)
      return fail(stepped.error());
    logits.push_back(*stepped);
  }
  int64_t row = 0;
  std::vector<std::span<const float>> rowLogits(engines.size());
  for (int64_t window = 0; window < count; ++window)
    for (int64_t i = begin; i < end; ++i, ++row) {
      for (size_t e = 0; e < engines.size(); ++e)
        rowLogits[e] = logits[e].row(row);
      if (Result<void> scored = hooks.score({.window = first + window,
                                             .position = i,
                                             .target = text.ids[idOf(window, i) + 1],
                                             .logits = rowLogits});
          !scored)
        return scored;
    }
  return {};
}

Result<void> Feeding::close() {
  for (size_t e = 0; e < engines.size(); ++e)
    for (int32_t sequence : sequences[e])
      if (Result<void> freed = engines[e]->freeSequence(sequence); !freed)
        return freed;
  return {};
}

Result<void> feedWindows(std::span<StepEngine *const> engines, const WindowedText &text,
                         const WindowHooks &hooks) {
  const int64_t total = countWindows(text.ids.size(), text.window);
  const int64_t pages = pagesOf(text.window, text.limits.pageTokens);
  const int64_t together = std::max<int64_t>(
      1, std::min(text.limits.maxStepRows / text.window, text.limits.pages / pages));
  const int64_t chunk = std::min(text.window, text.limits.maxStepRows / together);
  for (int64_t first = 0; first < total; first += together) {
    const int64_t count = std::min(together, total - first);
    Feeding feeding(engines, text, hooks, first, count);
    if (Result<void> opened = feeding.open(); !opened)
      return opened;
    for (int64_t begin = 0; begin < text.window; begin += chunk)
      if (Result<void> done = feeding.step(begin, std::min(begin + chunk, text.window)); !done)
        return done;
    if (Result<void> closed = feeding.close(); !closed)
      return closed;
    if (hooks.showProgress)
      hooks.showProgress(first + count);
  }
  return {};
}

} // namespace grok::runtime
