// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Error bounds of the cache and of attention over it.
#include "compiler/verification/Bounds.h"

#include "llvm/Support/Parallel.h"

#include <algorithm>
#include <cmath>

namespace grok::verification {

using interpreter::AttentionParameters;
using interpreter::Cache;
using interpreter::CodeForm;
using interpreter::Rounding;
using interpreter::SequenceCache;
using interpreter::Step;
using interpreter::Tensor;

void boundCacheWrite(CacheBound::value_type &layer, const Cache::Layer &written, const Tensor &keys,
                     const Bound &keyBound, const Bound &valueBound, const Step &step,
                     Rounding rounding) {
  int64_t width = keys.stride();
  for (int64_t row = 0; row < keys.rows(); ++row) {
    const SequenceCache &stored = written.at(step.sequences[row]);
    SequenceBound &bound = layer[step.sequences[row]];
    bound.keys.resize(stored.keys.size());
    bound.values.resize(stored.values.size());
    auto store = [&](const std::vector<float> &values, const Bound &from, Bound &to) {
      int64_t first = step.positions[row] * width;
      Tensor stay({1, width});
      std::copy_n(values.begin() + first, width, stay.values.begin());
      Bound error(from.begin() + row * width, from.begin() + (row + 1) * width);
      addRounding(error, stay, rounding);
      std::copy(error.begin(), error.end(), to.begin() + first);
    };
    store(stored.keys, keyBound, bound.keys);
    store(stored.values, valueBound, bound.values);
  }
}

/// How far a code times its scale may be off, where the exact number is off by
/// `error` and the group's largest, of size `largest`, by `moved`.
static double quantizedError(double x, double error, double largest, double moved, CodeForm form) {
  const double most = largestCode(form);
  const double widest = form == CodeForm::e4m3 ? 32 : 1; // between two codes
  double scale = largest / most, otherScale = (largest + moved) / most;
  double anyway = error + widest * (scale + otherScale) / 2; // half a step on both sides
  if (moved >= largest)
    return anyway;
  double steps = x / scale;
  // The quotient's error, and the two roundings that make a number of that size.
  double size = form == CodeForm::e4m3 ? std::abs(steps) : most;
  double uncertain =
      (error + std::abs(x) * moved / largest) * most / (largest - moved) + size * 0x1p-22;
  double highest = roundToCode(steps + uncertain, form);
  double lowest = roundToCode(steps - uncertain, form);
  double code = roundToCode(steps, form);
  double flips = std::max(highest - code, code - lowest);
  double rounded = std::abs(code) * scale * sumError(4);
  return std::min(anyway, flips * otherScale + std::abs(code) * moved / most) + rounded;
}

Bound boundQuantized(const Tensor &x, const Bound &xBound, int64_t groupLength, CodeForm form) {
  Bound bound(x.values.size());
  for (size_t begin = 0; begin < bound.size(); begin += size_t(groupLength)) {
    double largest = 0, moved = 0;
    for (size_t i = begin; i < begin + size_t(groupLength); ++i) {
      largest = std::max(largest, std::abs(double(x.values[i])));
      moved = std::max(moved, double(xBound[i]));
    }
    for (size_t i = begin; i < begin + size_t(groupLength); ++i)
      bound[i] = static_cast<float>(quantizedError(x.values[i], xBound[i], largest, moved, form));
  }
  return bound;
}

namespace {

/// One query head of one row.
class HeadBound {
public:
  HeadBound(const float *query, const SequenceCache &cache, const SequenceBound &bound,
            int64_t kvHead, const AttentionParameters &parameters, Rounding rounding)
      : query(query), cache(cache), bound(bound), parameters(parameters), rounding(rounding),
        first(kvHead * parameters.headDim), width(parameters.kvHeads * parameters.headDim) {}

  /// Writes the bounds of the head's `headDim` outputs.
  void compute(int64_t positions, float *result) {
    weigh(positions);
    for (int64_t d = 0; d < parameters.headDim; ++d) {
      double error = 0;
      for (int64_t position = 0; position < positions; ++position) {
        int64_t i = position * width + first + d;
        double value = std::abs(double(cache.values[i]));
        error += weights[position] * (relative * (value + bound.values[i]) + bound.values[i]);
      }
      result[d] = static_cast<float>(error);
    }
  }

private:
  /// Softmax weights and how far each may be off, relative to itself.
  void weigh(int64_t positions) {
    weights.assign(positions, 0);
    double largest = -1e30, error = 0;
    for (int64_t position = 0; position < positions; ++position) {
      weights[position] = -1e30;
      if (!cache.keep[position])
        continue;
      weights[position] = score(position, error);
      largest = std::max(largest, weights[position]);
    }
    double sum = 0;
    for (double &weight : weights)
      sum += weight = std::exp(weight - largest);
    for (double &weight : weights)
      weight /= sum;
    // All weights move by e^error at most, and so does their sum. The weighted
    // sum is as deep as a key slice, plus the merges of slices; weights of codes
    // are multiplied by the scale.
    relative = std::expm1(2 * error) + sumError(256 + double(positions) / 256 + 17);
    if (rounding == Rounding::bf16)
      relative += 0x1p-7; // the weights are rounded
  }

  /// The capped score; raises `error` to its error.
  double score(int64_t position, double &error) const {
    double product = 0, moved = 0;
    for (int64_t d = 0; d < parameters.headDim; ++d) {
      int64_t i = position * width + first + d;
      double q = std::abs(double(query[d]));
      product += double(query[d]) * cache.keys[i];
      moved += q * bound.keys[i] +
               q * std::abs(double(cache.keys[i])) * sumError(double(parameters.headDim) + 3);
    }
    if (rounding == Rounding::bf16)
      moved += std::abs(product) * 0x1p-7;
    double cap = parameters.softcap;
    double raw = product * parameters.multiplier;
    moved = moved * std::abs(parameters.multiplier) + std::abs(raw) * sumError(2);
    // The cap's slope, where it is steepest within the error.
    double tanh = std::tanh(std::max(std::abs(raw) - moved, 0.0) / cap);
    // tanh within 3 ulp, two products; the difference to the maximum is rounded.
    error = std::max(error, moved * (1 - tanh * tanh) + cap * sumError(8));
    return cap * std::tanh(raw / cap);
  }

  const float *query;
  const SequenceCache &cache;
  const SequenceBound &bound;
  const AttentionParameters &parameters;
  Rounding rounding;
  int64_t first, width;
  std::vector<double> weights;
  double relative = 0;
};

} // namespace

Bound boundAttention(const Tensor &query, const Cache::Layer &cache,
                     const CacheBound::value_type &cacheBound, const Step &step,
                     const AttentionParameters &parameters, Rounding rounding) {
  Bound bound(query.values.size());
  int64_t heads = query.stride() / parameters.headDim;
  llvm::parallelFor(0, query.rows(), [&](size_t row) {
    int64_t sequence = step.sequences[row];
    for (int64_t head = 0; head < heads; ++head) {
      int64_t first = int64_t(row) * query.stride() + head * parameters.headDim;
      HeadBound(query.values.data() + first, cache.at(sequence), cacheBound.at(sequence),
                head / (heads / parameters.kvHeads), parameters, rounding)
          .compute(step.positions[row] + 1, bound.data() + first);
    }
  });
  return bound;
}

} // namespace grok::verification
