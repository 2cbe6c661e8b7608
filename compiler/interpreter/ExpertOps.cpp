// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Choice of experts and the gate-weighted sum of what they say.
#include "compiler/interpreter/Definitions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace grok::interpreter {

// In place, in float32 but for the sum.
static void softmax(float *values, int64_t count) {
  float largest = *std::max_element(values, values + count);
  double sum = 0;
  for (int64_t index = 0; index < count; ++index) {
    values[index] = static_cast<float>(std::exp(double(values[index] - largest)));
    sum += values[index];
  }
  for (int64_t index = 0; index < count; ++index)
    values[index] = static_cast<float>(values[index] / sum);
}

Routing route(const Tensor &x, const Matrix &router, int64_t selected) {
  Tensor probabilities = linear(x, router, Rounding::f32, Rounding::f32);
  int64_t experts = router.columns();
  Routing result{Tensor({x.rows(), selected}), {{x.rows(), selected}, {}}};
  std::vector<int32_t> order(experts);
  for (int64_t row = 0; row < x.rows(); ++row) {
    float *values = probabilities.row(row);
    softmax(values, experts);
    std::iota(order.begin(), order.end(), 0);
    // A stable sort leaves ties at the lower index.
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return values[a] > values[b]; });
    for (int64_t slot = 0; slot < selected; ++slot) {
      result.gates.row(row)[slot] = values[order[slot]];
      result.experts.values.push_back(order[slot]);
    }
  }
  return result;
}

Tensor combine(const Tensor &x, const Tensor &gates, const Indices &experts, Rounding rounding) {
  int64_t selected = x.shape[1];
  int64_t width = x.shape[2];
  Tensor result({x.rows(), width});
  std::vector<int64_t> slots(selected);
  for (int64_t row = 0; row < x.rows(); ++row) {
    const int32_t *ids = experts.values.data() + row * selected;
    std::iota(slots.begin(), slots.end(), 0);
    std::sort(slots.begin(), slots.end(), [&](int64_t a, int64_t b) { return ids[a] < ids[b]; });
    for (int64_t column = 0; column < width; ++column) {
      double sum = 0;
      for (int64_t slot : slots) {
        if (ids[slot] < 0)
          continue; // of another rank
        sum += double(round(gates.row(row)[slot], rounding)) * x.row(row)[slot * width + column];
      }
      result.row(row)[column] = round(static_cast<float>(sum), rounding);
    }
  }
  return result;
}

} // namespace grok::interpreter
