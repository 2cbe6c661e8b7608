// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// With H = (U + 1) D (U + 1)^T, U strictly upper, the loss tr(E^T H E) of errors E
// is the sum over rows k of D[k] * (E[k] + sum of U[j][k] * E[j] over j < k)^2. So
// row k is rounded from its weight plus that sum.
#include "compiler/calibration/Gptq.h"

#include "compiler/calibration/Cholesky.h"
#include "compiler/calibration/Products.h"
#include "compiler/quantization/GroupSearch.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>

namespace grok::calibration {

static constexpr int64_t lanes = quantization::searchColumns;
static_assert(lanes == floatLanes);

/// A zero diagonal, of an input that never was anything else, becomes the mean.
/// Returns the mean of the others.
static double reviveDead(std::vector<double> &moments, int64_t n) {
  double sum = 0;
  int64_t alive = 0;
  for (int64_t i = 0; i < n; ++i)
    if (moments[i * n + i] > 0)
      sum += moments[i * n + i], ++alive;
  const double mean = alive ? sum / static_cast<double>(alive) : 1;
  for (int64_t i = 0; i < n; ++i)
    if (!(moments[i * n + i] > 0))
      moments[i * n + i] = mean;
  return mean;
}

RoundingPlan::RoundingPlan(std::vector<double> given, const GptqOptions &options, int threads)
    : options(options) {
  const auto n = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(given.size()))));
  assert(n * n == static_cast<int64_t>(given.size()));
  const double mean = reviveDead(given, n);
  for (int64_t i = 0; i < n; ++i)
    importance.push_back(static_cast<float>(given[i * n + i] / mean));
  order.resize(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return importance[a] != importance[b] ? importance[a] > importance[b] : a < b;
  });
  moments.resize(n * n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      moments[i * n + j] = static_cast<float>(given[order[i] * n + order[j]] / mean);
  feedback.resize(n * n);
  double damping = options.damping;
  while (!factor(damping, threads) && damping < 1)
    damping = std::max(10 * damping, 1e-3);
  for (int64_t i = 0; i < n; ++i)
    moments[i * n + i] += static_cast<float>(damping);
}

/// U from the Cholesky factor of the matrix with its rows and columns reversed.
/// Leaves no feedback if there is none.
bool RoundingPlan::factor(double damping, int threads) {
  const int64_t n = rows();
  std::vector<double> reversed(n * n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j)
      reversed[i * n + j] = moments[(n - 1 - i) * n + n - 1 - j];
    reversed[i * n + i] += damping;
  }
  if (!factorize(reversed, n, threads))
    return false;
  for (int64_t k = 0; k < n; ++k) {
    const double *pivotColumn = reversed.data() + n - 1 - k;
    const double pivot = pivotColumn[(n - 1 - k) * n];
    for (int64_t j = 0; j < k; ++j)
      feedback[k * n + j] = static_cast<float>(pivotColumn[(n - 1 - j) * n] / pivot);
  }
  return true;
}

namespace {
/// 16 columns on their way, in the order of rounding.
class Columns {
public:
  Columns(const std::vector<int32_t> &order, quantization::MatrixFormat::Kind kind,
          const RoundingPlan::Block &block);

  void round(const std::vector<float> &feedback);
  void refitMultipliers(const std::vector<float> &moments);
  void refitCodes(const std::vector<float> &moments);
  void store() const;

private:
  int64_t rows() const { return static_cast<int64_t>(order.size()); }
  void refitGroup(int64_t group, const std::vector<float> &moments);
  FloatLanes stepOf(int64_t k) const;

  const std::vector<int32_t> &order;
  const RoundingPlan::Block &block;
  const float lowest, highest, largestMultiplier;
  std::vector<int32_t> place;          // of a row of the matrix in the order
  std::vector<FloatLanes> weights;     // [rows] in the order, true size
  std::vector<FloatLanes> scales;      // [rows] in the order
  std::vector<FloatLanes> codes;       // [rows] in the order
  std::vector<FloatLanes> errors;      // [rows] in the order: weight - code * step
  std::vector<FloatLanes> multipliers; // [groups]
};
} // namespace

static FloatLanes wide(float value) { return value - FloatLanes{}; }

/// Rounded half to even; every |value| < 2^22.
static FloatLanes roundToEven(FloatLanes value) {
  constexpr float integerMagnet = 12582912.0f;
  return (value + integerMagnet) - integerMagnet;
}

static FloatLanes clamp(FloatLanes value, float low, float high) {
  value = value < wide(low) ? wide(low) : value;
  return value > wide(high) ? wide(high) : value;
}

Columns::Columns(const std::vector<int32_t> &order, quantization::MatrixFormat::Kind kind,
                 const RoundingPlan::Block &block)
    : order(order), block(block), lowest(-static_cast<float>(quantization::zeroPointOf(kind))),
      highest(-1 - lowest),
      largestMultiplier(static_cast<float>(quantization::maxMultiplierOf(kind))),
      place(order.size()), weights(order.size()), scales(order.size()), codes(order.size()),
      errors(order.size()), multipliers(order.size() / block.groupRows) {
  for (size_t k = 0; k < order.size(); ++k) {
    FloatLanes grid;
    std::memcpy(&grid, block.grid + order[k] * lanes, sizeof grid);
    std::memcpy(&scales[k], block.scale + order[k] * lanes, sizeof grid);
    weights[k] = grid * scales[k];
    place[order[k]] = static_cast<int32_t>(k);
  }
  for (size_t i = 0; i < multipliers.size() * lanes; ++i)
    multipliers[i / lanes][i % lanes] = block.multipliers[i];
}

FloatLanes Columns::stepOf(int64_t k) const {
  return multipliers[order[k] / block.groupRows] * scales[k];
}

void Columns::round(const std::vector<float> &feedback) {
  for (int64_t k = 0; k < rows(); ++k) {
    FloatLanes target;
    combine(feedback.data() + k * rows(), errors.data(), k, &target);
    target += weights[k];
    const FloatLanes step = stepOf(k);
    codes[k] = roundToEven(clamp(target / step, lowest, highest));
    errors[k] = weights[k] - codes[k] * step;
  }
}

/// The loss is a parabola in each multiplier: the whole number next to its
/// lowest point is the best one.
void Columns::refitGroup(int64_t group, const std::vector<float> &moments) {
  FloatLanes slope = {}, bend = {};
  for (int64_t i = group * block.groupRows; i < (group + 1) * block.groupRows; ++i) {
    const int64_t k = place[i];
    FloatLanes pull, own = {};
    combine(moments.data() + k * rows(), errors.data(), rows(), &pull);
    for (int64_t j = group * block.groupRows; j < (group + 1) * block.groupRows; ++j)
      own += moments[k * rows() + place[j]] * (codes[place[j]] * scales[place[j]]);
    slope += codes[k] * scales[k] * pull;
    bend += codes[k] * scales[k] * own;
  }
  const FloatLanes old = multipliers[group];
  FloatLanes best = roundToEven(
      clamp(old + slope / (bend > 0 ? bend : wide(1)), -largestMultiplier, largestMultiplier));
  best = bend > 0 && best != 0 ? best : old;
  for (int64_t i = group * block.groupRows; i < (group + 1) * block.groupRows; ++i) {
    const int64_t k = place[i];
    errors[k] -= codes[k] * scales[k] * (best - old);
  }
  multipliers[group] = best;
}

void Columns::refitMultipliers(const std::vector<float> &moments) {
  for (size_t group = 0; group < multipliers.size(); ++group)
    refitGroup(static_cast<int64_t>(group), moments);
}

void Columns::refitCodes(const std::vector<float> &moments) {
  for (int64_t k = 0; k < rows(); ++k) {
    FloatLanes pull;
    combine(moments.data() + k * rows(), errors.data(), rows(), &pull);
    const FloatLanes step = stepOf(k);
    const FloatLanes target = codes[k] + pull / (moments[k * rows() + k] * step);
    codes[k] = roundToEven(clamp(target, lowest, highest));
    errors[k] = weights[k] - codes[k] * step;
  }
}

void Columns::store() const {
  for (int64_t k = 0; k < rows(); ++k)
    for (int64_t lane = 0; lane < lanes; ++lane)
      block.codes[order[k] * lanes + lane] = static_cast<int8_t>(codes[k][lane]);
  for (size_t i = 0; i < multipliers.size() * lanes; ++i)
    block.multipliers[i] = static_cast<int8_t>(multipliers[i / lanes][i % lanes]);
}

void RoundingPlan::encode(quantization::MatrixFormat::Kind kind, const Block &block) const {
  assert(rows() % block.groupRows == 0);
  for (int64_t row = 0; row < rows(); row += block.groupRows)
    quantization::searchMultipliers(
        kind, {block.grid + row * lanes, importance.data() + row, block.groupRows},
        block.multipliers + row / block.groupRows * lanes);
  Columns columns(order, kind, block);
  columns.round(feedback);
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    columns.refitMultipliers(moments);
    columns.refitCodes(moments);
  }
  columns.store();
}

} // namespace grok::calibration
