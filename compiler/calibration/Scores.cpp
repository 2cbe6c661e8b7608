// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over rows of logits, in float64 and in the order of the text.
#include "compiler/calibration/Scores.h"

#include "compiler/calibration/Distribution.h"

namespace grok::calibration {

double Perplexity::perplexity() const { return std::exp(meanNll); }

namespace {
/// What one window adds, summed by itself so that batching changes no bit.
struct WindowSums {
  double chosen = 0, reference = 0, divergence = 0;
  int64_t agreeing = 0;
};
} // namespace

/// A row of logits, or an error if they are broken.
static Result<Distribution> distributionOf(const GrokLogits &logits, size_t row) {
  Distribution distribution(
      {logits.data + row * logits.stride, static_cast<size_t>(logits.vocabSize)});
  if (!distribution.isFinite())
    return tl::unexpected(std::string("the artifact gives logits that are not finite"));
  return distribution;
}

Result<Perplexity> measurePerplexity(const std::string &artifact, const TextSlice &slice,
                                     int threads) {
  auto run = TextRun::load(artifact, threads);
  if (!run)
    return tl::unexpected(run.error());
  std::vector<double> windows(slice.count);
  FeedHooks hooks;
  hooks.after = [&](const FedStep &fed, std::span<const GrokLogits> logits) -> Result<void> {
    for (size_t i = 0; i < fed.targets.size(); ++i) {
      const auto row = distributionOf(logits[0], i);
      if (!row)
        return tl::unexpected(row.error());
      windows[fed.windows[i] - slice.first] -= row->logProbability(fed.targets[i]);
    }
    return {};
  };
  TextRun *const runs[] = {&*run};
  if (auto fed = feed(runs, slice, hooks); !fed)
    return tl::unexpected(fed.error());
  Perplexity result{slice.count * slice.window, 0};
  for (double nll : windows)
    result.meanNll += nll;
  result.meanNll /= static_cast<double>(std::max<int64_t>(result.tokens, 1));
  return result;
}

static Comparison summarize(const std::vector<WindowSums> &windows, const TextSlice &slice) {
  const double count = static_cast<double>(windows.size()),
               tokens = count * static_cast<double>(slice.window);
  Comparison result;
  result.chosen.tokens = result.reference.tokens = slice.count * slice.window;
  for (const WindowSums &window : windows) {
    result.chosen.meanNll += window.chosen / tokens;
    result.reference.meanNll += window.reference / tokens;
    result.divergence += window.divergence / tokens;
    result.agreement += static_cast<double>(window.agreeing) / tokens;
  }
  result.nllDifference = result.chosen.meanNll - result.reference.meanNll;
  double squares = 0;
  for (const WindowSums &window : windows) {
    const double difference =
        (window.chosen - window.reference) / static_cast<double>(slice.window);
    squares += (difference - result.nllDifference) * (difference - result.nllDifference);
  }
  if (windows.size() > 1)
    result.nllStandardError = std::sqrt(squares / (count - 1) / count);
  return result;
}

Result<Comparison> compareArtifacts(const std::string &artifact, const std::string &reference,
                                    const TextSlice &slice, int threads) {
  auto run = TextRun::load(artifact, threads), other = TextRun::load(reference, threads);
  if (!run || !other)
    return tl::unexpected(run ? other.error() : run.error());
  if (run->info().vocabSize != other->info().vocabSize)
    return tl::unexpected(artifact + " and " + reference + " have different vocabularies");
  std::vector<WindowSums> windows(slice.count);
  FeedHooks hooks;
  hooks.after = [&](const FedStep &fed, std::span<const GrokLogits> logits) -> Result<void> {
    for (size_t i = 0; i < fed.targets.size(); ++i) {
      const auto chosen = distributionOf(logits[0], i), expected = distributionOf(logits[1], i);
      if (!chosen || !expected)
        return tl::unexpected(chosen ? expected.error() : chosen.error());
      WindowSums &window = windows[fed.windows[i] - slice.first];
      window.chosen -= chosen->logProbability(fed.targets[i]);
      window.reference -= expected->logProbability(fed.targets[i]);
      window.divergence += expected->divergenceOf(*chosen);
      window.agreeing += chosen->best() == expected->best();
    }
    return {};
  };
  TextRun *const runs[] = {&*run, &*other};
  if (auto fed = feed(runs, slice, hooks); !fed)
    return tl::unexpected(fed.error());
  return summarize(windows, slice);
}

} // namespace grok::calibration
