// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Errors from encodings, losses from trials.
#include "compiler/calibration/Sensitivities.h"

#include "compiler/calibration/GptqEncoder.h"

#include <algorithm>

namespace grok::calibration {

using checkpoint::TensorInfo;
using quantization::MatrixFormat;

static std::string itemOf(const InputKey &key) {
  std::string layer = "layer" + std::to_string(key.layer) + ".";
  switch (key.kind) {
  case InputKey::Kind::attention:
  case InputKey::Kind::output:
    return layer + "attention";
  case InputKey::Kind::expert:
    return layer + "gate_up";
  case InputKey::Kind::down:
    return layer + "down";
  }
  return layer;
}

std::vector<CalibrationItem> itemsOf(const checkpoint::TensorList &tensors) {
  std::vector<CalibrationItem> items;
  for (const TensorInfo &tensor : tensors) {
    const auto key = inputOf(tensor.name, 0);
    if (!key)
      continue;
    const std::string name = itemOf(*key);
    auto item = std::find_if(items.begin(), items.end(),
                             [&](const CalibrationItem &each) { return each.name == name; });
    if (item == items.end())
      item = items.insert(item, {name, {}});
    item->tensors.push_back(&tensor);
  }
  return items;
}

std::string attributeNameOf(const MatrixFormat &format) {
  std::string name = "int" + std::to_string(quantization::bitsOf(format.kind));
  if (format.multiplierRows)
    name += "g" + std::to_string(format.multiplierRows);
  return name;
}

/// Adds what all experts of a tensor lose in a format of its own row groups.
static Result<void> addLoss(const TensorInfo &tensor, const checkpoint::TensorData &data,
                            MatrixFormat format, const quantization::MatrixEncoder &encoder,
                            const Statistics &statistics, int threads, Loss &sum) {
  format.rowGroups = tensor.rowGroups();
  const int64_t experts = tensor.shape.size() == 3 ? tensor.shape.front() : 1;
  for (int64_t expert = 0; expert < experts; ++expert) {
    const quantization::MatrixSource source = quantization::matrixOf(tensor, data, expert);
    auto encoded = encoder.encode(source, format);
    if (!encoded)
      return tl::unexpected(encoded.error());
    const auto loss = lossOf(source, *encoded, statistics, threads);
    if (!loss)
      return tl::unexpected(loss.error());
    sum.error += loss->error, sum.whole += loss->whole;
  }
  return {};
}

static bool isPossible(const CalibrationItem &item, MatrixFormat format) {
  return std::all_of(item.tensors.begin(), item.tensors.end(), [&](const TensorInfo *tensor) {
    format.rowGroups = tensor->rowGroups();
    return quantization::isPossible(format, tensor->shape[tensor->shape.size() - 2]);
  });
}

Result<ItemSensitivities>
measureErrors(const checkpoint::Checkpoint &checkpoint, std::span<const CalibrationItem> items,
              std::span<const MatrixFormat> formats, const quantization::MatrixEncoder &encoder,
              const Statistics &statistics, int threads,
              const std::function<void(const CalibrationItem &)> &showProgress) {
  ItemSensitivities measured;
  for (const CalibrationItem &item : items) {
    std::vector<Loss> sums(formats.size());
    for (const TensorInfo *tensor : item.tensors) {
      const auto data = checkpoint.read(tensor->name);
      if (!data)
        return tl::unexpected(data.error());
      for (size_t i = 0; i < formats.size(); ++i)
        if (isPossible(item, formats[i]))
          if (auto added =
                  addLoss(*tensor, **data, formats[i], encoder, statistics, threads, sums[i]);
              !added)
            return tl::unexpected(added.error());
    }
    ItemSensitivity &sensitivity = measured[item.name];
    for (size_t i = 0; i < formats.size(); ++i)
      if (isPossible(item, formats[i]))
        sensitivity.errors[attributeNameOf(formats[i])] = sums[i].relative();
    if (showProgress)
      showProgress(item);
  }
  return measured;
}

static Result<Comparison> runTrial(std::span<const std::string> items, const BuildTrial &build,
                                   const TrialOptions &options) {
  const auto artifact = build(items, options.format);
  if (!artifact)
    return tl::unexpected(artifact.error());
  return compareArtifacts(*artifact, options.reference, options.slice, options.threads);
}

Result<void> measureLosses(ItemSensitivities &items, const BuildTrial &build,
                           const TrialOptions &options) {
  std::vector<std::string> tried;
  double divergences = 0;
  for (auto &[name, sensitivity] : items) {
    if (!sensitivity.errors.contains(options.format))
      continue;
    const auto trial = runTrial(std::span(&name, 1), build, options);
    if (!trial)
      return tl::unexpected(trial.error());
    sensitivity.trial = *trial;
    divergences += trial->divergence;
    tried.push_back(name);
    if (options.showProgress)
      options.showProgress(name);
  }
  if (tried.empty())
    return {};
  const auto together = runTrial(tried, build, options);
  if (!together)
    return tl::unexpected(together.error());
  // A loss within its noise says nothing: the divergences stand for themselves.
  const bool isClear = together->nllDifference > 3 * together->nllStandardError;
  const double scale = isClear && divergences > 0 ? together->nllDifference / divergences : 1;
  for (const std::string &name : tried) {
    ItemSensitivity &sensitivity = items[name];
    const double error = sensitivity.errors[options.format];
    sensitivity.loss = error > 0 ? scale * sensitivity.trial.divergence / error : 0;
  }
  return {};
}

} // namespace grok::calibration
