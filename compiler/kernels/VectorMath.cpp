// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/VectorMath.h"

#include <limits>

namespace grok::compiler {

// Horner's rule, highest power first.
static Value polynomial(VectorBuilder &v, Value x, llvm::ArrayRef<double> coefficients) {
  Value sum = v.constantLike(x, coefficients.front());
  for (double coefficient : coefficients.drop_front())
    sum = v.multiplyAdd(sum, x, v.constantLike(x, coefficient));
  return sum;
}

// Cephes single/expf.c: e^x = 2^n e^r, |r| <= ln(2)/2, a degree 6 polynomial.
Value exponential(VectorBuilder &v, Value x) {
  Value lowest = v.constantLike(x, -87.33), highest = v.constantLike(x, 88.37);
  Value isLow = v.less(x, lowest), isHigh = v.less(highest, x);
  Value clamped = v.select(isLow, lowest, v.select(isHigh, highest, x));
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  Value shifter = v.constantLike(x, 12582912.0);
  Value shifted = v.multiplyAdd(clamped, v.constantLike(x, 1.44269504088896341), shifter);
  Value n = v.sub(shifted, shifter);
  Value r = v.multiplyAdd(n, v.constantLike(x, -0.693359375), clamped);
  r = v.multiplyAdd(n, v.constantLike(x, 2.12194440e-4), r);
  Value tail = polynomial(v, r,
                          {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                           1.6666665459e-1, 5.0000001201e-1});
  Value one = v.constantLike(x, 1.0);
  Value mantissa = v.add(v.multiplyAdd(tail, v.mul(r, r), r), one);
  Value power = v.shiftLeft(v.sub(v.bitsOf(shifted), v.bitsOf(shifter)), 23);
  Value result = v.mul(mantissa, v.fromBits(v.add(power, v.bitsOf(one))));
  result = v.select(isLow, v.constantLike(x, 0.0), result);
  return v.select(isHigh, v.constantLike(x, std::numeric_limits<double>::infinity()), result);
}

// Cephes single/tanhf.c: a polynomial below 0.625, 1 - 2 / (e^2|x| + 1) above.
Value hyperbolicTangent(VectorBuilder &v, Value x) {
  Value signBit = v.constantLike(v.bitsOf(x), -2147483648.0);
  Value sign = v.bitAnd(v.bitsOf(x), signBit);
  Value magnitude = v.fromBits(v.bitXor(v.bitsOf(x), sign));
  Value square = v.mul(x, x);
  Value odd = polynomial(v, square,
                         {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
                          -3.33332819422e-1});
  Value small = v.multiplyAdd(v.mul(odd, square), x, x);
  Value one = v.constantLike(x, 1.0), two = v.constantLike(x, 2.0);
  Value grown = exponential(v, v.mul(magnitude, two));
  Value large = v.sub(one, v.div(two, v.add(grown, one)));
  large = v.fromBits(v.bitOr(v.bitsOf(large), sign));
  return v.select(v.less(magnitude, v.constantLike(x, 0.625)), small, large);
}

SoftmaxMerge mergeSoftmax(VectorBuilder &v, Value oldMaximum, Value oldTotal, Value newMaximum,
                          Value newTotal) {
  SoftmaxMerge merged;
  merged.maximum = v.maximum(oldMaximum, newMaximum);
  merged.oldFactor = exponential(v, v.sub(oldMaximum, merged.maximum));
  merged.newFactor = exponential(v, v.sub(newMaximum, merged.maximum));
  merged.total = v.multiplyAdd(oldTotal, merged.oldFactor, v.mul(newTotal, merged.newFactor));
  return merged;
}

Value geluTanh(VectorBuilder &v, Value x) {
  // 0.5 (1 + tanh u) = 1 / (1 + e^-2u), which loses no digits for negative u.
  Value cube = v.mul(v.mul(x, x), x);
  Value u = v.multiplyAdd(cube, v.constantLike(x, 0.044715), x);
  Value one = v.constantLike(x, 1.0);
  Value decay = exponential(v, v.mul(u, v.constantLike(x, -2 * 0.7978845608028654)));
  return v.mul(x, v.div(one, v.add(one, decay)));
}

Value roundToBf16(VectorBuilder &v, Value x) {
  Value bits = v.bitsOf(x);
  Value odd = v.bitAnd(v.shiftRight(bits, 16), v.constantLike(bits, 1));
  Value rounded = v.add(bits, v.add(odd, v.constantLike(bits, 0x7fff)));
  Value kept = v.bitAnd(rounded, v.constantLike(bits, -65536.0));
  return v.select(v.isNan(x), x, v.fromBits(kept));
}

Value roundActivation(VectorBuilder &v, Numerics numerics, Value x) {
  return numerics == Numerics::bf16 ? roundToBf16(v, x) : x;
}

Value loadCacheVector(VectorBuilder &v, bool isBf16, Value address) {
  if (!isBf16)
    return v.load(v.floats, address);
  Value halves = v.load(v.vectorOf(v.i16, VectorBuilder::lanes), address);
  return v.fromBits(v.shiftLeft(v.widenUnsigned(halves, v.i32), 16));
}

void storeCacheElement(VectorBuilder &v, bool isBf16, Value value, Value address) {
  if (isBf16)
    value = v.narrow(v.shiftRight(v.bitsOf(roundToBf16(v, value)), 16), v.i16);
  v.store(value, address);
}

template <typename Combine> static Value reduceLanes(VectorBuilder &v, Value a, Combine combine) {
  int64_t lanes = llvm::cast<mlir::VectorType>(a.getType()).getNumElements();
  for (int64_t width = lanes / 2; width >= 1; width /= 2) {
    llvm::SmallVector<int64_t, 8> low, high;
    for (int64_t lane = 0; lane < width; ++lane) {
      low.push_back(lane);
      high.push_back(lane + width);
    }
    a = combine(v.shuffle(a, a, low), v.shuffle(a, a, high));
  }
  return v.extract(a, 0);
}

Value sumOfLanes(VectorBuilder &v, Value vector) {
  return reduceLanes(v, vector, [&](Value a, Value b) { return v.add(a, b); });
}

Value maximumOfLanes(VectorBuilder &v, Value vector) {
  return reduceLanes(v, vector, [&](Value a, Value b) { return v.maximum(a, b); });
}

} // namespace grok::compiler
