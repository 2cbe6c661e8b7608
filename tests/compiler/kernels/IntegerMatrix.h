// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Random matrices of i8, i4 and i3, packed by the letter of docs/packing.md.
#pragma once

#include "tests/compiler/kernels/KernelHarness.h"

namespace grok::compiler::testing {

struct IntegerMatrix {
  int64_t inputs, columns;
  WeightFormat format;
  std::vector<int> weights;     // [inputs][columns] code * multiplier
  std::vector<int> codes;       // [inputs][columns] less the zero point
  std::vector<int> multipliers; // [inputs / group][columns]
  Buffer packed, scales;

  int at(int64_t k, int64_t column) const { return weights[k * columns + column]; }
  float scaleAt(int64_t k, int64_t column) const;
};

IntegerMatrix randomIntegers(std::mt19937 &random, int64_t inputs, int64_t columns,
                             const WeightFormat &format);

/// One output of a quantised row by docs/numerics.md, operation by operation.
float documentedSum(const IntegerMatrix &matrix, const uint8_t *record, int64_t column, bool hasFma,
                    int64_t digits = 1);

} // namespace grok::compiler::testing
