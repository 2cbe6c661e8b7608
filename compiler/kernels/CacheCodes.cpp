// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/CacheCodes.h"

namespace grok::compiler {

// float32 has 20 more bits of fraction than e4m3, and a bias that is larger by 120.
static constexpr int32_t fractionShift = 20, biasShift = 120, floatFraction = 23;
static constexpr int32_t signShift = 24; // of a code to its float32

float largestCode(CacheElement element) { return element == CacheElement::e4m3 ? 448 : 127; }

// Of |x| <= 448.
static Value e4m3Of(VectorBuilder &v, Value x) {
  constexpr double leastNormal = 0x1p-6, spacingOfSubnormals = 0x1p14; // times 2^-23
  Value bits = v.bitsOf(x), size = v.bitAnd(bits, v.constantLike(bits, 0x7fffffff));
  Value odd = v.bitAnd(v.shiftRight(size, fractionShift), v.constantLike(bits, 1));
  Value half = v.constantLike(bits, (1 << (fractionShift - 1)) - 1.0 -
                                        static_cast<double>(biasShift << floatFraction));
  Value normal = v.shiftRight(v.add(size, v.add(odd, half)), fractionShift);
  // The sum's last bit is worth 2^-9, as that of a subnormal code.
  Value magnitude = v.fromBits(size), shift = v.constantLike(x, spacingOfSubnormals);
  Value subnormal = v.sub(v.bitsOf(v.add(magnitude, shift)), v.bitsOf(shift));
  Value isSmall = v.less(magnitude, v.constantLike(x, leastNormal));
  Value sign = v.bitAnd(v.shiftRight(bits, signShift), v.constantLike(bits, 0x80));
  return v.bitOr(sign, v.select(isSmall, subnormal, normal));
}

Value codeOf(VectorBuilder &v, CacheElement element, Value x) {
  const double largest = largestCode(element);
  Value rounded = element == CacheElement::i8 ? v.roundToEven(x) : x;
  Value raised = v.maximum(rounded, v.constantLike(x, -largest));
  Value limit = v.constantLike(x, largest);
  Value inRange = v.select(v.less(limit, raised), limit, raised);
  return element == CacheElement::i8 ? v.toInteger(inRange) : e4m3Of(v, inRange);
}

Value valueOfCode(VectorBuilder &v, CacheElement element, Value word) {
  if (element == CacheElement::i8)
    return v.toFloat(word);
  // Sign, exponent and fraction to their places; the product corrects the bias and is
  // exact, also where the code's subnormal is one of float32.
  constexpr double placesOfCode = -2014314496.0; // 0x87f00000
  Value bits = v.bitAnd(v.shiftLeft(word, fractionShift), v.constantLike(word, placesOfCode));
  Value value = v.fromBits(bits);
  return v.mul(value, v.constantLike(value, 0x1p120));
}

} // namespace grok::compiler
