// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/WeightReader.h"

#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

using Element = WeightFormat::Element;

WeightReader::WeightReader(VectorBuilder &v, const WeightFormat &format, Numerics numerics,
                           int64_t contraction)
    : v(v), format(format), numerics(numerics), contraction(contraction) {}

int64_t WeightReader::lineBytes() const {
  return panelColumns * format.kPack() * format.bits() / 8;
}

int64_t WeightReader::panelBytes() const { return format.panelBytes(contraction); }

bool WeightReader::scalesWeights() const {
  return format.element == Element::i8 && numerics == Numerics::bf16;
}

bool WeightReader::scalesSums() const {
  return format.element == Element::i8 && numerics != Numerics::bf16;
}

// Four int8 of a column share a word. Moving one into the top byte of a zero
// word makes its float 2^24 times too large, which scale() takes back: exact,
// and one shuffle instead of two shifts.
static constexpr double topByteScale = 1.0 / (1 << 24);

Values WeightReader::readInts(Value address) {
  if (format.kPack() == 1)
    return {v.toFloat(v.widen(v.load(v.vectorOf(v.i8, panelColumns), address), v.i32))};
  auto bytes = v.vectorOf(v.i8, 4 * panelColumns);
  Value line = v.load(bytes, address, /*alignment=*/64);
  Value zero = v.constantLike(line, 0);
  Values result;
  for (int64_t k = 0; k < 4; ++k) {
    llvm::SmallVector<int64_t, 64> mask;
    for (int64_t column = 0; column < panelColumns; ++column)
      for (int64_t byte = 0; byte < 4; ++byte)
        mask.push_back(byte == 3 ? 4 * column + k : 4 * panelColumns);
    result.push_back(v.toFloat(v.bitCast(v.shuffle(line, zero, mask), v.words)));
  }
  return result;
}

Values WeightReader::readHalves(Value address) {
  if (format.kPack() == 1)
    return {loadCacheVector(v, /*isBf16=*/true, address)};
  Value line = v.load(v.words, address, /*alignment=*/64);
  return {v.fromBits(v.shiftLeft(line, 16)),
          v.fromBits(v.bitAnd(line, v.constantLike(line, -65536.0)))};
}

Values WeightReader::readLine(Value address, Value scale) {
  if (format.element == Element::bf16)
    return readHalves(address);
  if (format.element == Element::f32) {
    Value weights = v.load(v.floats, address, /*alignment=*/64);
    return {roundActivation(v, numerics, weights)};
  }
  Values weights = readInts(address);
  if (scalesWeights())
    for (Value &weight : weights)
      weight = roundToBf16(v, v.mul(weight, scale));
  return weights;
}

Value columnScales(VectorBuilder &v, const MatrixOperand &matrix, Value panel, Value group) {
  Value first = v.add(v.mul(group, matrix.scaleColumns), v.mul(panel, panelColumns));
  return loadCacheVector(v, /*isBf16=*/true, v.offset(matrix.scales, v.mul(first, 2)));
}

Value WeightReader::scale(const MatrixOperand &matrix, Value panel, Value k) {
  Value scales = columnScales(v, matrix, panel, v.quotient(k, contraction / format.groups));
  return format.kPack() == 4 ? v.mul(scales, v.splat(static_cast<float>(topByteScale))) : scales;
}

} // namespace grok::compiler
