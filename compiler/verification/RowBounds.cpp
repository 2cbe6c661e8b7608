// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Error bounds of ops that treat rows one by one, and what all bounds share.
#include "compiler/verification/Bounds.h"

#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/SumOrder.h"

#include <algorithm>
#include <cmath>

namespace grok::verification {

using interpreter::Matrix;
using interpreter::Rounding;
using interpreter::Tensor;

double sumError(double depth) { return depth * roundoff / (1 - depth * roundoff); }

/// Of sums in which one factor holds for runs of `factorRows` weights.
static double depthOf(int64_t contraction, int64_t factorRows) {
  plan::SumOrder order = plan::chooseSumOrder(contraction, contraction / factorRows);
  double unitsOfSlice = double(contraction) / double(order.slices * order.unit);
  // The product, its factors (multiplier times scale, or the scale of a quantised
  // input), and the tree over slices. Integer sums of quantised inputs are exact
  // and have no more units than this has terms.
  return double(order.unit) + unitsOfSlice + std::log2(double(order.slices)) + 3;
}

double sumDepth(mlir::RankedTensorType weight, int64_t contraction) {
  auto rowsOf = [](FormatAttr format) {
    return format.getMultiplierRows() ? format.getMultiplierRows() : format.getGroupRows();
  };
  if (auto format = mlir::dyn_cast_or_null<FormatAttr>(weight.getEncoding()))
    return depthOf(contraction, rowsOf(format));
  auto formats = mlir::dyn_cast_or_null<ExpertFormatsAttr>(weight.getEncoding());
  if (!formats)
    return depthOf(contraction, contraction);
  double depth = 0; // of the expert with the deepest sums
  for (FormatAttr format : formats.getFormats())
    depth = std::max(depth, depthOf(contraction, rowsOf(format)));
  return depth;
}

/// Distance of neighbouring bf16 numbers of this size: 8 significant bits.
static float spacingOfBF16(float value) {
  return std::ldexp(1.0f, std::max(std::ilogb(std::max(value, 0x1p-126f)), -126) - 7);
}

void addRounding(Bound &bound, const Tensor &result, Rounding rounding) {
  if (rounding == Rounding::f32)
    return;
  for (size_t i = 0; i < bound.size(); ++i)
    if (bound[i] > 0)
      bound[i] += spacingOfBF16(std::abs(result.values[i]) + bound[i]);
}

static double at(const Bound &bound, size_t index) { return bound.empty() ? 0 : bound[index]; }

Bound boundNorm(const Tensor &x, const Bound &xBound, const Matrix &scale, double eps,
                const Tensor &result) {
  int64_t width = scale.columns();
  std::vector<float> scales(width);
  scale.read(0, 0, width, Rounding::f32, scales.data());
  // 16 lanes of 4 chains; mean, eps, root and quotient; twice for the reference.
  double relative = sumError(std::ceil(double(width) / 64) + 8) / 2 + sumError(8);
  Bound bound(x.values.size());
  for (int64_t row = 0; row < x.rows(); ++row) {
    double squares = 0, moved = 0; // sums of x^2 and of |x| times its error
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      squares += double(x.values[i]) * x.values[i];
      moved += std::abs(double(x.values[i])) * at(xBound, i);
    }
    double mean = squares / double(width) + eps;
    double fromInput = moved / double(width) / mean;
    for (int64_t i = row * width; i < (row + 1) * width; ++i)
      bound[i] =
          static_cast<float>(std::abs(result.values[i]) * (relative + fromInput) +
                             std::abs(scales[i - row * width]) * at(xBound, i) / std::sqrt(mean));
  }
  return bound;
}

Bound boundRope(const Tensor &x, const Bound &xBound, const interpreter::Step &step,
                int64_t headDim) {
  int64_t half = headDim / 2;
  Bound bound(x.values.size());
  for (int64_t row = 0; row < x.rows(); ++row) {
    // The angle is at most the position, and its frequency one rounding off.
    double angle = 2 * roundoff * double(step.positions[row]);
    for (int64_t i = row * x.stride(); i < (row + 1) * x.stride(); ++i) {
      int64_t partner = i % headDim < half ? i + half : i - half;
      double size = std::abs(double(x.values[i])) + std::abs(double(x.values[partner]));
      bound[i] =
          static_cast<float>(at(xBound, i) + at(xBound, partner) + size * (angle + sumError(8)));
    }
  }
  return bound;
}

Bound boundGeluGate(const Tensor &gate, const Bound &gateBound, const Tensor &up,
                    const Bound &upBound, const Tensor &result) {
  constexpr double steepest = 1.13; // largest slope of GELU
  Bound bound(result.values.size());
  for (size_t i = 0; i < bound.size(); ++i) {
    double g = std::abs(double(gate.values[i])), u = std::abs(double(up.values[i]));
    double gelu = u == 0 ? g : std::abs(double(result.values[i])) / u;
    // tanh within 3 ulp, and 1 + tanh may cancel: absolute in g.
    double own = g * sumError(16) + gelu * sumError(4);
    bound[i] = static_cast<float>((steepest * at(gateBound, i) + own) * (u + at(upBound, i)) +
                                  gelu * at(upBound, i));
  }
  return bound;
}

Bound boundAdd(const Bound &lhs, const Bound &rhs, const Tensor &result) {
  Bound bound(result.values.size());
  for (size_t i = 0; i < bound.size(); ++i)
    bound[i] = static_cast<float>(at(lhs, i) + at(rhs, i) +
                                  std::abs(double(result.values[i])) * sumError(2));
  return bound;
}

Bound boundCombine(const Tensor &x, const Bound &xBound, const Tensor &gates,
                   const Tensor &result) {
  Bound bound(result.values.size());
  int64_t selected = gates.stride(), width = result.stride();
  for (int64_t row = 0; row < result.rows(); ++row)
    for (int64_t choice = 0; choice < selected; ++choice)
      for (int64_t column = 0; column < width; ++column) {
        int64_t i = (row * selected + choice) * width + column;
        double gate = std::abs(double(gates.row(row)[choice]));
        // Rounding the gate to bf16 makes it at most 2^-8 larger.
        bound[row * width + column] += static_cast<float>(
            gate * (1 + 0x1p-8) *
            (at(xBound, i) + std::abs(double(x.values[i])) * sumError(double(selected) + 2)));
      }
  return bound;
}

} // namespace grok::verification
