// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Cache writes and soft-capped attention over the cache.
#include "compiler/interpreter/Definitions.h"

#include "llvm/Support/Parallel.h"
#include <algorithm>
#include <cmath>

namespace grok::interpreter {

// A replacement for masked scores, after the cap (specification step 7).
static constexpr float maskedScore = -1e30f;

Cache writeCache(const Cache &cache, const Tensor &keys, const Tensor &values,
                 const Indices &tokens, const Step &step, int64_t layer, Rounding rounding) {
  auto written = std::make_shared<Cache::Layer>(*cache.layers[layer]);
  int64_t width = keys.stride();
  for (int64_t row = 0; row < keys.rows(); ++row) {
    SequenceCache &sequence = (*written)[step.sequences[row]];
    int64_t position = step.positions[row];
    if (position >= int64_t(sequence.keep.size())) {
      sequence.keys.resize((position + 1) * width);
      sequence.values.resize((position + 1) * width);
      sequence.keep.resize(position + 1);
    }
    for (int64_t column = 0; column < width; ++column) {
      sequence.keys[position * width + column] = round(keys.row(row)[column], rounding);
      sequence.values[position * width + column] = round(values.row(row)[column], rounding);
    }
    sequence.keep[position] = tokens.values[row] > 0;
  }
  Cache result = cache;
  result.layers[layer] = std::move(written);
  return result;
}

// Weights of the positions [0, count) for one query head: step 6 and 7.
static void weigh(const float *query, const SequenceCache &sequence, int64_t kvHead, int64_t width,
                  const AttentionParameters &parameters, Rounding rounding,
                  std::vector<float> &weights) {
  auto multiplier = static_cast<float>(parameters.multiplier);
  auto softcap = static_cast<float>(parameters.softcap);
  for (size_t position = 0; position < weights.size(); ++position) {
    const float *key =
        sequence.keys.data() + int64_t(position) * width + kvHead * parameters.headDim;
    double product = 0;
    for (int64_t d = 0; d < parameters.headDim; ++d)
      product += double(query[d]) * key[d];
    float score = round(static_cast<float>(product), rounding) * multiplier;
    score = softcap * static_cast<float>(std::tanh(double(score / softcap)));
    weights[position] = sequence.keep[position] ? score : maskedScore;
  }
  float largest = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (float &weight : weights) {
    weight = static_cast<float>(std::exp(double(weight - largest)));
    sum += weight;
  }
  for (float &weight : weights)
    weight = round(static_cast<float>(weight / sum), rounding);
}

static Result<void> checkWritten(const Cache::Layer &layer, const Step &step) {
  for (size_t row = 0; row < step.positions.size(); ++row) {
    auto found = layer.find(step.sequences[row]);
    if (found == layer.end() || step.positions[row] >= int64_t(found->second.keep.size()))
      return tl::unexpected("position " + std::to_string(step.positions[row]) + " of sequence " +
                            std::to_string(step.sequences[row]) + " was never written");
  }
  return {};
}

Result<Tensor> attention(const Tensor &query, const Cache &cache, const Step &step,
                         const AttentionParameters &parameters, Rounding rounding) {
  const Cache::Layer &layer = *cache.layers[parameters.layer];
  if (auto written = checkWritten(layer, step); !written)
    return tl::unexpected(written.error());
  Tensor result(query.shape);
  int64_t headDim = parameters.headDim;
  int64_t width = parameters.kvHeads * headDim;
  int64_t headsPerKvHead = query.stride() / width;
  llvm::parallelFor(0, query.rows(), [&](size_t row) {
    const SequenceCache &sequence = layer.at(step.sequences[row]);
    std::vector<float> weights(step.positions[row] + 1);
    std::vector<double> sums(headDim);
    for (int64_t head = 0; head < query.stride() / headDim; ++head) {
      int64_t kvHead = head / headsPerKvHead;
      weigh(query.row(int64_t(row)) + head * headDim, sequence, kvHead, width, parameters, rounding,
            weights);
      std::fill(sums.begin(), sums.end(), 0);
      for (size_t position = 0; position < weights.size(); ++position)
        for (int64_t d = 0; d < headDim; ++d)
          sums[d] += double(weights[position]) *
                     sequence.values[int64_t(position) * width + kvHead * headDim + d];
      for (int64_t d = 0; d < headDim; ++d)
        result.row(int64_t(row))[head * headDim + d] = round(static_cast<float>(sums[d]), rounding);
    }
  });
  return result;
}

} // namespace grok::interpreter
