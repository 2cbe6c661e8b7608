// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/kernels/IntegerMatrix.h"

#include "tests/compiler/kernels/QuantizedReference.h"

#include <cmath>

namespace grok::compiler::testing {

float IntegerMatrix::scaleAt(int64_t k, int64_t column) const {
  const int64_t group = k / (inputs / format.groups);
  return fromBf16(
      static_cast<const uint16_t *>(scales.data())[group * paddedTo16(columns) + column]);
}

// ---- packing

namespace {

// One panel's bytes, of which the codes of a column are set one by one.
class PanelWriter {
public:
  PanelWriter(const WeightFormat &format, int64_t inputs, uint8_t *panel)
      : format(format), inputs(inputs), panel(panel) {}

  void setMultiplier(int64_t k, int64_t column, int value) {
    const int64_t run = k / format.group;
    superStart(k)[run % 4 * 16 + column] = static_cast<uint8_t>(value);
  }

  void setCode(int64_t k, int64_t column, int code) {
    if (format.element == WeightFormat::Element::i8) {
      panel[k / 4 * 64 + column * 4 + k % 4] = static_cast<uint8_t>(code);
      return;
    }
    uint8_t *run =
        superStart(k) + headerBytes(k) + k / format.group % 4 * (format.group * 2 * format.bits());
    if (format.element == WeightFormat::Element::i4)
      setFour(run, k % format.group, column, code);
    else
      setThree(run + k % format.group / 32 * 192, k % 32, column, code);
  }

private:
  static void setFour(uint8_t *run, int64_t k, int64_t column, int code) {
    const int64_t quad = k / 4;
    run[quad / 2 * 64 + column * 4 + k % 4] |= code << (quad % 2 * 4);
  }
  static void setThree(uint8_t *block, int64_t k, int64_t column, int code) {
    const int64_t quad = k / 4;
    uint8_t *byte = block + column * 4 + k % 4;
    if (quad < 6) {
      byte[quad / 2 * 64] |= code << (quad % 2 * 3);
      return;
    }
    byte[(quad - 6) * 64] |= (code & 3) << 6;
    byte[128] |= (code >> 2) << quad; // bit 6 or 7
  }
  int64_t superInputs() const { return 4 * format.group; }
  uint8_t *superStart(int64_t k) {
    return panel + k / superInputs() * (64 + superInputs() * 2 * format.bits());
  }
  int64_t headerBytes(int64_t k) const {
    const int64_t runsLeft = (inputs - k / superInputs() * superInputs()) / format.group;
    return std::min<int64_t>(runsLeft, 4) * 16;
  }

  const WeightFormat &format;
  int64_t inputs;
  uint8_t *panel;
};

} // namespace

// Extremes are as frequent as all other numbers together, so that sums come
// near every bound.
static int randomIn(std::mt19937 &random, int low, int high) {
  switch (random() % 4) {
  case 0:
    return low;
  case 1:
    return high;
  default:
    return low + static_cast<int>(random() % (high - low + 1));
  }
}

static void fillColumn(std::mt19937 &random, IntegerMatrix &matrix, PanelWriter &panel,
                       int64_t column) {
  const bool hasMultipliers = matrix.format.hasMultipliers();
  const int zero = hasMultipliers ? 1 << (matrix.format.bits() - 1) : 0;
  const int most = matrix.format.element == WeightFormat::Element::i4 ? 15 : 31;
  int multiplier = 1;
  for (int64_t k = 0; k < matrix.inputs; ++k) {
    if (hasMultipliers && k % matrix.format.group == 0) {
      multiplier = randomIn(random, -most, most);
      panel.setMultiplier(k, column % 16, multiplier);
      matrix.multipliers[k / matrix.format.group * matrix.columns + column] = multiplier;
    }
    const int code =
        hasMultipliers ? randomIn(random, 0, 2 * zero - 1) : randomIn(random, -128, 127);
    panel.setCode(k, column % 16, code);
    matrix.codes[k * matrix.columns + column] = code - zero;
    matrix.weights[k * matrix.columns + column] = multiplier * (code - zero);
  }
}

IntegerMatrix randomIntegers(std::mt19937 &random, int64_t inputs, int64_t columns,
                             const WeightFormat &format) {
  const int64_t padded = paddedTo16(columns), panelBytes = format.panelBytes(inputs);
  IntegerMatrix matrix{inputs,
                       columns,
                       format,
                       std::vector<int>(inputs * columns),
                       std::vector<int>(inputs * columns),
                       std::vector<int>(inputs * columns),
                       Buffer(padded / 16 * panelBytes),
                       Buffer(format.groups * padded * 2)};
  auto *scales = static_cast<uint16_t *>(matrix.scales.data());
  for (int64_t column = 0; column < columns; ++column) {
    PanelWriter panel(matrix.format, inputs, matrix.packed.byteData() + column / 16 * panelBytes);
    fillColumn(random, matrix, panel, column);
    for (int64_t group = 0; group < format.groups; ++group)
      scales[group * padded + column] =
          bf16Bits(0.001f + static_cast<float>(random() % 999) * 1e-5f);
  }
  return matrix;
}

// ---- sums

float documentedSum(const IntegerMatrix &matrix, const uint8_t *record, int64_t column, bool hasFma,
                    int64_t digits) {
  const WeightFormat &format = matrix.format;
  const auto layout = plan::QuantizedRow::of(matrix.inputs, format.unit, digits);
  const auto *rowScales = reinterpret_cast<const float *>(record + layout.scalesOffset);
  auto multiplyAdd = [&](float a, float b, float sum) {
    volatile float product = a * b; // not to be contracted by this compiler
    return hasFma ? std::fma(a, b, sum) : product + sum;
  };
  const int64_t slice = matrix.inputs / format.slices;
  const bool scalesSlices = matrix.inputs / format.groups % slice == 0;
  std::vector<float> sums(format.slices, 0.0f);
  for (int64_t start = 0; start < matrix.inputs; start += format.unit) {
    int32_t unitSum = 0;
    for (int64_t k = start; k < start + format.unit; ++k)
      unitSum += codeAt(record, layout, k) * matrix.at(k, column);
    float factor = rowScales[start / format.unit];
    if (!scalesSlices)
      factor *= matrix.scaleAt(start, column);
    float &sum = sums[start / slice];
    sum = multiplyAdd(static_cast<float>(unitSum), factor, sum);
  }
  for (int64_t i = 0; i < format.slices && scalesSlices; ++i)
    sums[i] *= matrix.scaleAt(i * slice, column);
  for (size_t count = sums.size(); count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = sums[2 * i] + sums[2 * i + 1];
  return sums[0];
}

} // namespace grok::compiler::testing
