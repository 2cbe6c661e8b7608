// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which launch shows which input: norms write what enters qkv and gate_up,
// attention what enters its output projection, gate_up what enters down. What
// down_combine writes says how much the experts of a token count.
#include "compiler/calibration/Collection.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

namespace grok::calibration {

using Kind = InputKey::Kind;

namespace {
/// A copy of a buffer, one row per token, padding cut off.
struct Rows {
  std::vector<float> values; // [tokens][width]
  int64_t width = 0;

  const float *row(int64_t token) const { return values.data() + token * width; }
};

class Collector {
public:
  Collector(const CollectionOptions &options, int32_t padToken)
      : options(options), padToken(padToken) {}

  void begin(const FedStep &step);
  void watch(const GrokLaunchView &launch);

  std::string error; // the first, with the launch's name
  Statistics statistics;

private:
  bool copyLast(const GrokLaunchView &launch, Rows &rows);
  void add(const InputKey &key, std::span<const float> values, int64_t width, double weight);
  void addTokens(const InputKey &key, const Rows &rows);
  void addRouted(int64_t layer, const Rows &sums);

  const CollectionOptions &options;
  const int32_t padToken;
  std::vector<bool> counts;     // is the row no pad token?
  Rows normed;                  // of the norm that ran last
  Rows products;                // of the gate_up that ran last
  int64_t numSelected = 0;      // experts of a token
  std::vector<float> gates;     // [tokens][numSelected]
  std::vector<int32_t> experts; // [tokens][numSelected]
};
} // namespace

void Collector::begin(const FedStep &step) {
  counts.clear();
  for (int32_t token : step.tokens)
    counts.push_back(token != padToken);
  statistics.tokens += std::count(counts.begin(), counts.end(), true);
}

/// Copies what the launch wrote last, which is its result.
bool Collector::copyLast(const GrokLaunchView &launch, Rows &rows) {
  if (launch.numWritten == 0)
    return false;
  const GrokBufferView &view = launch.written[launch.numWritten - 1];
  if (std::string_view(view.dtype) != "f32" || !view.perRow || view.rank == 0 ||
      view.rows != static_cast<int64_t>(counts.size())) {
    error = std::string(launch.name) + ": writes " + view.name + " in an unknown form";
    return false;
  }
  const int64_t stored = view.shape[view.rank - 1], width = view.logicalShape[view.rank - 1];
  const auto parts = static_cast<int64_t>(view.rowBytes) / 4 / stored; // a row of each pair, say
  rows.width = parts * width;
  rows.values.resize(view.rows * rows.width);
  for (int64_t part = 0; part < view.rows * parts; ++part)
    std::memcpy(rows.values.data() + part * width,
                static_cast<const float *>(view.data) + part * stored, width * 4);
  if (!std::all_of(rows.values.begin(), rows.values.end(),
                   [](float x) { return std::isfinite(x); })) {
    error =
        std::string(launch.name) + ": writes values that are not finite on the calibration text";
    return false;
  }
  return true;
}

void Collector::add(const InputKey &key, std::span<const float> values, int64_t width,
                    double weight) {
  auto found = statistics.inputs.find(key);
  if (found == statistics.inputs.end())
    found =
        statistics.inputs.emplace(key, Moments(width, chooseBlockRows(width, options.largestBlock)))
            .first;
  found->second.add(values, static_cast<int64_t>(values.size()) / width, weight, options.threads);
}

void Collector::addTokens(const InputKey &key, const Rows &rows) {
  if (!options.isWanted(key))
    return;
  std::vector<float> values;
  double weight = 0;
  const auto tokens = static_cast<int64_t>(counts.size());
  for (int64_t token = 0; token < tokens; ++token)
    if (counts[token]) {
      values.insert(values.end(), rows.row(token), rows.row(token + 1));
      ++weight;
    }
  add(key, values, rows.width, weight);
}

/// The size of a row, by which the norm after the experts divides.
static double rootMeanSquare(const float *row, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i)
    sum += static_cast<double>(row[i]) * static_cast<double>(row[i]);
  return std::sqrt(sum / static_cast<double>(width));
}

static void appendScaled(std::vector<float> &values, const float *row, int64_t width,
                         float factor) {
  std::transform(row, row + width, std::back_inserter(values),
                 [factor](float value) { return factor * value; });
}

/// `products` has a row for each pair, sorted by expert and then by token.
void Collector::addRouted(int64_t layer, const Rows &sums) {
  const int32_t last = *std::max_element(experts.begin(), experts.end());
  const int64_t ffn = products.width / numSelected;
  const float *product = products.values.data();
  for (int32_t expert = 0; expert <= last; ++expert) {
    std::vector<float> inputs, outputs;
    double weight = 0;
    for (size_t pair = 0; pair < experts.size(); ++pair) {
      const auto token = static_cast<int64_t>(pair) / numSelected;
      if (experts[pair] != expert)
        continue;
      const float *output = std::exchange(product, product + ffn);
      const double size = rootMeanSquare(sums.row(token), sums.width);
      if (!counts[token] || size == 0)
        continue;
      const auto factor = static_cast<float>(static_cast<double>(gates[pair]) / size);
      weight += static_cast<double>(factor) * static_cast<double>(factor);
      appendScaled(inputs, normed.row(token), normed.width, factor);
      appendScaled(outputs, output, ffn, factor);
    }
    if (InputKey key{layer, Kind::expert, expert}; options.isWanted(key))
      add(key, inputs, normed.width, weight);
    if (InputKey key{layer, Kind::down, expert}; options.isWanted(key))
      add(key, outputs, ffn, weight);
  }
}

void Collector::watch(const GrokLaunchView &launch) {
  if (!error.empty())
    return;
  const std::string_view op = launch.op;
  Rows rows;
  if (op == "rms_norm" || op == "residual_norm")
    copyLast(launch, normed);
  else if (op == "qkv")
    addTokens({launch.layer, Kind::attention, -1}, normed);
  else if (op == "attention" && copyLast(launch, rows))
    addTokens({launch.layer, Kind::output, -1}, rows);
  else if (op == "route" && launch.numWritten == 2) {
    const GrokBufferView &view = launch.written[0];
    numSelected = view.shape[0];
    const auto pairs = static_cast<size_t>(view.rows * numSelected);
    gates.resize(pairs), experts.resize(pairs);
    std::memcpy(gates.data(), view.data, pairs * 4);
    std::memcpy(experts.data(), launch.written[1].data, pairs * 4);
  } else if (op == "gate_up" && copyLast(launch, products)) {
    addTokens({launch.layer, Kind::expert, -1}, normed);
  } else if (op == "down_combine" && copyLast(launch, rows)) {
    addRouted(launch.layer, rows);
  }
}

int64_t statisticsBytes(const checkpoint::TensorList &tensors, int64_t largestBlock) {
  std::map<InputKey, int64_t> sizes;
  for (const checkpoint::TensorInfo &tensor : tensors) {
    const int64_t rank = static_cast<int64_t>(tensor.shape.size());
    const int64_t experts = rank == 3 ? tensor.shape.front() : 1;
    for (int64_t expert = 0; expert < experts; ++expert) {
      const auto key = inputOf(tensor.name, expert);
      if (!key)
        continue;
      const int64_t rows = tensor.shape[rank - 2];
      sizes[*key] = bytesOfMoments(rows, chooseBlockRows(rows, largestBlock));
      if (key->kind == Kind::expert)
        sizes[{key->layer, key->kind, -1}] = sizes[*key];
    }
  }
  int64_t bytes = 0;
  for (const auto &[key, size] : sizes)
    bytes += size;
  return bytes;
}

int64_t chooseLargestBlock(const checkpoint::TensorList &tensors, int64_t mostBytes) {
  for (int64_t block = 4096; block >= 64; block /= 2)
    if (statisticsBytes(tensors, block) <= mostBytes)
      return block;
  return 1;
}

Result<Statistics> collectStatistics(TextRun &run, const TextSlice &slice,
                                     const CollectionOptions &options) {
  Collector collector(options, run.info().padToken);
  FeedHooks hooks;
  hooks.before = [&](const FedStep &step) {
    collector.begin(step);
    if (options.showProgress)
      options.showProgress(step.windows.back() - slice.first);
  };
  run.observe([](const GrokLaunchView *launch,
                 void *user) { static_cast<Collector *>(user)->watch(*launch); },
              &collector);
  TextRun *const runs[] = {&run};
  const Result<void> fed = feed(runs, slice, hooks);
  run.observe(nullptr, nullptr);
  if (!fed)
    return tl::unexpected(fed.error());
  if (!collector.error.empty())
    return tl::unexpected(collector.error);
  return std::move(collector.statistics);
}

} // namespace grok::calibration
