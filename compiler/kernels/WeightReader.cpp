// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/WeightReader.h"

#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

using Element = WeightFormat::Element;

WeightReader::WeightReader(KernelBuilder &kernel, const WeightFormat &format, Numerics numerics,
                           int64_t contraction)
    : v(kernel), format(format), numerics(numerics), contraction(contraction),
      packed(kernel, format, contraction) {}

int64_t WeightReader::bundleInputs() const {
  return format.hasMultipliers() ? packed.bundleInputs() : format.kPack();
}

Value WeightReader::offsetOf(Value k) const {
  if (format.hasMultipliers())
    return packed.placeOf(v.quotient(k, format.group)).lines;
  return v.mul(k, inputBytes());
}

bool WeightReader::scalesWeights() const {
  return format.element == Element::i8 && numerics == Numerics::bf16;
}

bool WeightReader::scalesSums() const { return format.isInteger() && numerics != Numerics::bf16; }

// Four int8 of a column share a word. Moving one into the top byte of a zero
// word makes its float 2^24 times too large, which scale() takes back: exact,
// and one shuffle instead of two shifts.
static constexpr double topByteScale = 1.0 / (1 << 24);

Values WeightReader::openLine(Value line) {
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

Values WeightReader::readInts(Value address) {
  if (format.kPack() == 1)
    return {v.toFloat(v.widen(v.load(v.vectorOf(v.i8, panelColumns), address), v.i32))};
  return openLine(v.load(v.vectorOf(v.i8, 4 * panelColumns), address, /*alignment=*/64));
}

Values WeightReader::readCodes(Value address) {
  Values weights;
  for (Value codes : packed.openBundle(address)) {
    Value zero = v.constantLike(codes, static_cast<double>(packed.zeroPoint()));
    weights.append(openLine(v.sub(codes, zero)));
  }
  return weights;
}

Values WeightReader::readHalves(Value address) {
  if (format.kPack() == 1)
    return {loadCacheVector(v, /*isBf16=*/true, address)};
  Value line = v.load(v.words, address, /*alignment=*/64);
  return {v.fromBits(v.shiftLeft(line, 16)),
          v.fromBits(v.bitAnd(line, v.constantLike(line, -65536.0)))};
}

Values WeightReader::readBundle(Value address, Value scale) {
  if (format.element == Element::bf16)
    return readHalves(address);
  if (format.element == Element::f32) {
    Value weights = v.load(v.floats, address, /*alignment=*/64);
    return {roundActivation(v, numerics, weights)};
  }
  if (format.hasMultipliers())
    return readCodes(address);
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
  if (format.hasMultipliers()) {
    Value place = packed.placeOf(v.quotient(k, format.group)).multipliers;
    Value start = v.rowAddress(matrix.weights, panel, format.panelBytes(contraction));
    Value bytes = v.load(v.vectorOf(v.i8, panelColumns), v.offset(start, place));
    scales = v.mul(v.toFloat(v.widen(bytes, v.i32)), scales);
  }
  return format.kPack() == 4 ? v.mul(scales, v.splat(static_cast<float>(topByteScale))) : scales;
}

} // namespace grok::compiler
