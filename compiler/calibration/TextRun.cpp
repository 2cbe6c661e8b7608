// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Feeding a text, window by window.
#include "compiler/calibration/TextRun.h"

#include <algorithm>

namespace grok::calibration {

static tl::unexpected<std::string> lastError() {
  return tl::unexpected(std::string(grokLastError()));
}

int64_t countWindows(size_t ids, int64_t window) {
  return ids == 0 ? 0 : static_cast<int64_t>(ids - 1) / window;
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

Result<void> TextRun::step(const FedStep &fed, std::span<const int32_t> sequences,
                           const Hooks &hooks) {
  std::vector<GrokStepRow> rows;
  for (size_t i = 0; i < fed.tokens.size(); ++i)
    rows.push_back({fed.tokens[i], sequences[i], hooks.after ? 1 : 0});
  if (hooks.before)
    hooks.before(fed);
  GrokLogits logits;
  if (grokStep(session.get(), rows.data(), rows.size(), &logits) != 0)
    return lastError();
  return hooks.after ? hooks.after(fed, logits) : Result<void>{};
}

/// Windows that fit into one step, or a single one in chunks.
Result<void> TextRun::feedTogether(const TextSlice &slice, const Hooks &hooks) {
  std::vector<int32_t> sequences;
  for (int64_t w = 0; w < slice.count; ++w)
    if (sequences.emplace_back(grokSequenceCreate(session.get())) < 0)
      return lastError();
  const int64_t chunk = std::min(slice.window, modelInfo.maxStepRows / slice.count);
  for (int64_t begin = 0; begin < slice.window; begin += chunk) {
    FedStep fed;
    std::vector<int32_t> sequenceOfRow;
    for (int64_t w = 0; w < slice.count; ++w)
      for (int64_t i = begin; i < std::min(begin + chunk, slice.window); ++i) {
        const int64_t at = (slice.first + w) * slice.window + i;
        fed.tokens.push_back(slice.ids[at]);
        fed.targets.push_back(slice.ids[at + 1]);
        fed.windows.push_back(slice.first + w);
        sequenceOfRow.push_back(sequences[w]);
      }
    if (auto done = step(fed, sequenceOfRow, hooks); !done)
      return done;
  }
  for (int32_t sequence : sequences)
    if (grokSequenceFree(session.get(), sequence) != 0)
      return lastError();
  return {};
}

Result<void> TextRun::feed(const TextSlice &slice, const Hooks &hooks) {
  const int64_t together = std::clamp<int64_t>(modelInfo.maxStepRows / slice.window, 1,
                                               std::max<int64_t>(slice.count, 1));
  GrokSessionOptions options{};
  options.size = sizeof(options);
  options.sequences = static_cast<int32_t>(together);
  session.reset(grokSessionCreate(model.get(), &options));
  if (!session)
    return lastError();
  grokSessionObserve(session.get(), hooks.observer, hooks.user);
  for (int64_t done = 0; done < slice.count; done += together) {
    TextSlice part = slice;
    part.first += done;
    part.count = std::min(together, slice.count - done);
    if (auto fed = feedTogether(part, hooks); !fed)
      return fed;
  }
  return {};
}

} // namespace grok::calibration
