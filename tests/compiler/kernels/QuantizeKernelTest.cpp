// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Records against the definition of docs/numerics.md, byte for byte.
#include "tests/compiler/kernels/KernelHarness.h"
#include "tests/compiler/kernels/QuantizedReference.h"

#include <gtest/gtest.h>

namespace grok::compiler::testing {

class QuantizeKernel : public ::testing::TestWithParam<std::string> {
protected:
  void check(int64_t inputs, int64_t groups, int64_t rows);
  void checkDigits(int64_t inputs, int64_t groups, int64_t rows, int64_t digits);
};

void QuantizeKernel::check(int64_t inputs, int64_t groups, int64_t rows) {
  for (int64_t digits : {1, 2})
    checkDigits(inputs, groups, rows, digits);
}

void QuantizeKernel::checkDigits(int64_t inputs, int64_t groups, int64_t rows, int64_t digits) {
  std::mt19937 random = reproducible(5);
  KernelSpec spec;
  spec.op = KernelOp::quantize;
  spec.numerics = Numerics::fast;
  spec.in = inputs;
  spec.digits = digits;
  spec.weight =
      WeightFormat::forContraction(WeightFormat::Element::i8, inputs, groups, Numerics::fast);
  Buffer x = randomRows(random, rows, inputs, /*isBf16=*/false, 3.0f);
  x.floats()[1] = 1e6f; // a spike hides its neighbours
  x.floats()[2] = -1e6f;
  x.floats()[paddedTo16(inputs) - 1] = 0;
  for (int64_t k = 0; k < spec.weight.unit; ++k) // a unit of zeros has scale 0
    x.floats()[(rows - 1) * paddedTo16(inputs) + k] = 0;
  const int64_t unit = spec.weight.unit;
  Buffer records(rows * plan::QuantizedRow::of(inputs, unit, digits).bytes);
  std::memset(records.data(), 0x5a, records.size()); // padding must be written too
  LoadedKernels({{"q", spec}}, GetParam())
      .run("q", {x.data(), records.data()}, Step::ofRows(1), 0, rows);
  EXPECT_TRUE(records.isGuardIntact());
  EXPECT_TRUE(records == quantizedRows(x.floats(), rows, inputs, unit, digits))
      << inputs << " inputs, " << digits << " digits";
}

TEST_P(QuantizeKernel, records) {
  check(6144, 8, 2);
  check(512, 1, 3);
  check(192, 2, 3);
  check(96, 1, 5); // units of 32
  check(80, 1, 2); // 16
  check(88, 1, 2); // 8
  check(36, 1, 2); // 4
}

INSTANTIATE_TEST_SUITE_P(Levels, QuantizeKernel, ::testing::ValuesIn(hostLevels()),
                         [](const auto &info) { return shortName(info.param); });

} // namespace grok::compiler::testing
