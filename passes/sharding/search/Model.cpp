// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Model.h"

#include <array>
#include <cmath>
#include <iomanip>

namespace grok::search {

/// Rows that share a multiplier under int4 and int3, grokc's default.
static constexpr int64_t multiplierRows = 32;
static constexpr int64_t bfloatBytes = 2;

int64_t ModelShape::attentionWeights() const {
  return 2 * width * (queryHeads + keyValueHeads) * headSize;
}

int64_t ModelShape::expertWeights() const { return 3 * width * hidden; }

int64_t ModelShape::matrixWeights() const {
  return tableWeights() + layers * (attentionWeights() + experts * expertWeights());
}

double MatrixFormat::bytes(double rows, double columns, double rowGroups) const {
  const double count = rows * columns;
  return std::ceil(count * bits / 8) + (multiplierRows ? count / double(multiplierRows) : 0) +
         columns * rowGroups * double(scaleBytes);
}

double WeightFormat::totalBytes(const ModelShape &model) const {
  const auto width = double(model.width), hidden = double(model.hidden);
  const double query = double(model.queryHeads * model.headSize);
  const double keys = double(model.keyValueHeads * model.headSize);
  const double ofAttention = attention.bytes(width, query, 1) +
                             2 * attention.bytes(width, keys, 1) +
                             attention.bytes(query, width, double(model.rowGroups));
  const double ofExpert =
      2 * experts.bytes(width, hidden, 1) + experts.bytes(hidden, width, double(model.rowGroups));
  return double(model.layers) * (ofAttention + double(model.experts) * ofExpert) +
         table.bytes(width, double(model.vocabulary), 1);
}

double WeightFormat::averageBits(const ModelShape &model) const {
  return 8 * totalBytes(model) / double(model.matrixWeights());
}

std::vector<std::string> weightFormatNames() { return {"f32", "bf16", "int8", "int4", "int3"}; }

Result<WeightFormat> weightFormatNamed(const std::string &name) {
  const MatrixFormat floats{.bits = 32}, halves{.bits = 16};
  const MatrixFormat bytes{.bits = 8, .scaleBytes = bfloatBytes};
  const auto packed = [](double bits) {
    return MatrixFormat{.bits = bits, .multiplierRows = multiplierRows, .scaleBytes = bfloatBytes};
  };
  // The release holds its table in float32, and int8 keeps it so.
  const std::array<WeightFormat, 5> formats = {{{"f32", floats, floats, floats},
                                                {"bf16", halves, halves, floats},
                                                {"int8", bytes, bytes, floats},
                                                {"int4", packed(4), bytes, bytes},
                                                {"int3", packed(3), bytes, bytes}}};
  for (const WeightFormat &format : formats)
    if (format.name == name)
      return format;
  std::string known;
  for (const WeightFormat &format : formats)
    known += (known.empty() ? "" : ", ") + format.name;
  return fail("'", name, "' is no weight format, give one of ", known, ", auto");
}

WeightFormat mixFormats(const WeightFormat &low, const WeightFormat &high, double share) {
  WeightFormat mix = high;
  const auto average = [&](double a, double b) { return (1 - share) * a + share * b; };
  // Multipliers are bytes that the formats may not both have: count them as bits.
  const auto bitsOf = [](const MatrixFormat &format) {
    return format.bits + (format.multiplierRows ? 8.0 / double(format.multiplierRows) : 0);
  };
  mix.experts.bits = average(bitsOf(low.experts), bitsOf(high.experts));
  mix.experts.multiplierRows = 0;
  std::ostringstream name;
  name << low.name << '+' << high.name << '(' << std::fixed << std::setprecision(2)
       << mix.experts.bits << ')';
  mix.name = name.str();
  return mix;
}

} // namespace grok::search
