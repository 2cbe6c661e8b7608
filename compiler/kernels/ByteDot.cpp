// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// pmaddubsw and vpdpbusd multiply unsigned by signed bytes. Weights that are
// signed become |weight| against inputs that take the weight's sign, or weight
// + 128 against sums that start at -128 * (sum of the inputs).
#include "compiler/kernels/ByteDot.h"

#include "compiler/kernels/TileProduct.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

static constexpr int64_t lineBytes = 64;
static constexpr int64_t shift = 128;

static int64_t vectorBytesOf(ByteProducts products) {
  return products == ByteProducts::pairs128 ? 16 : products == ByteProducts::pairs256 ? 32 : 64;
}

ByteDot::ByteDot(KernelBuilder &kernel, Bytes bytes, int64_t zeroPoint)
    : kernel(kernel), bytes(bytes), zeroPoint(bytes == Bytes::codes ? zeroPoint : 0),
      parts(lineBytes / vectorBytesOf(kernel.tiles.products)) {
  if (hasDots() && bytes != Bytes::codes)
    this->zeroPoint = shift;
}

bool ByteDot::hasDots() const { return kernel.tiles.products == ByteProducts::dots512; }

ByteDot::Bytes ByteDot::storedBytes(const KernelBuilder &kernel, const WeightFormat &format) {
  if (kernel.tiles.hasTiles && format.unit % TileProduct::inputs == 0)
    return Bytes::weights;
  if (kernel.tiles.products == ByteProducts::dots512)
    return Bytes::shifted;
  return format.hasMultipliers() ? Bytes::codes : Bytes::weights;
}

// ---- starts

Value ByteDot::startWord(Value sumWords, int64_t count) const {
  if (zeroPoint == 0)
    return kernel.word(0);
  if (hasDots()) { // the sum of all half words
    Type halves = kernel.vectorOf(kernel.i16, 2 * count);
    Value words = kernel.widen(kernel.load(halves, sumWords), kernel.i32);
    return kernel.mul(sumOfLanes(kernel, words), kernel.word(static_cast<int32_t>(-zeroPoint)));
  }
  Value low, high; // sums of codes with k % 4 in {0, 1}, and in {2, 3}
  for (int64_t i = 0; i < count; ++i) {
    Value word = kernel.load(kernel.i32, kernel.offset(sumWords, 4 * i));
    Value first = kernel.shiftRightSigned(kernel.shiftLeft(word, 16), 16);
    Value second = kernel.shiftRightSigned(word, 16);
    low = low ? kernel.add(low, first) : first;
    high = high ? kernel.add(high, second) : second;
  }
  Value factor = kernel.word(static_cast<int32_t>(-zeroPoint));
  // Sums of pairs fit 16 bits: 64 rows, of which a half word takes every other
  // two, times 127 and the zero point of at most 8, are 32,512.
  low = kernel.bitAnd(kernel.mul(low, factor), kernel.word(0xffff));
  return kernel.bitOr(low, kernel.shiftLeft(kernel.mul(high, factor), 16));
}

Value ByteDot::start(Value word) const {
  Value words = kernel.broadcast(word);
  if (hasDots() || bytes != Bytes::codes)
    return words;
  return kernel.bitCast(words, kernel.vectorOf(kernel.i16, 2 * panelColumns));
}

// ---- lines

Values ByteDot::prepare(Value line) const {
  if (hasDots())
    return {bytes == Bytes::weights ? kernel.bitXor(line, kernel.constantLike(line, -shift))
                                    : line};
  Values prepared;
  for (int64_t i = 0; i < parts; ++i)
    prepared.push_back(kernel.part(line, i, parts));
  for (int64_t i = 0; i < parts && bytes == Bytes::weights; ++i)
    prepared.push_back(kernel.absolute(prepared[i]));
  return prepared;
}

Value ByteDot::add(Value sums, ValueRange prepared, Value inputs) const {
  const int64_t length = lineBytes / parts;
  Value all =
      kernel.bitCast(kernel.broadcast(inputs, length / 4), kernel.vectorOf(kernel.i8, length));
  if (hasDots())
    return dot(sums, prepared[0], all);
  Values next;
  for (int64_t i = 0; i < parts; ++i) {
    Value before = kernel.part(sums, i, parts);
    if (bytes == Bytes::codes) {
      next.push_back(kernel.add(before, pairs(prepared[i], all)));
      continue;
    }
    const char *sign = length == 16 ? "x86.ssse3.psign.b.128" : "x86.avx2.psign.b";
    Value signedInputs = kernel.intrinsic(sign, all.getType(), {all, prepared[i]});
    Value products = pairs(prepared[parts + i], signedInputs);
    next.push_back(kernel.add(before, pairSums(products, kernel.constantLike(products, 1))));
  }
  return kernel.joined(next);
}

Value ByteDot::finish(Value sums, Value multipliers) const {
  if (bytes != Bytes::codes)
    return sums;
  if (hasDots())
    return kernel.mul(sums, multipliers);
  Values words;
  for (int64_t i = 0; i < parts; ++i)
    words.push_back(pairSums(kernel.part(sums, i, parts), kernel.part(multipliers, i, parts)));
  return kernel.joined(words);
}

Value ByteDot::multipliersAt(Value address) const {
  Value words =
      kernel.widen(kernel.load(kernel.vectorOf(kernel.i8, panelColumns), address), kernel.i32);
  return hasDots() ? words : halvesOf(kernel, words);
}

Value halvesOf(VectorBuilder &v, Value words) {
  Value low = v.bitAnd(words, v.constantLike(words, 0xffff));
  Value both = v.bitOr(low, v.shiftLeft(words, 16));
  return v.bitCast(both, v.vectorOf(v.i16, 2 * panelColumns));
}

// ---- instructions

// vpdpbusd, or the same in plain arithmetic.
Value ByteDot::dot(Value sums, Value unsignedBytes, Value inputs) const {
  if (!kernel.tiles.expandsProducts)
    return kernel.intrinsic("x86.avx512.vpdpbusd.512", sums.getType(),
                            {sums, unsignedBytes, inputs});
  return plainDot(kernel, sums, kernel.bitCast(unsignedBytes, kernel.words),
                  kernel.bitCast(inputs, kernel.words), /*isUnsigned=*/true);
}

Value plainDot(VectorBuilder &v, Value words, Value line, Value inputs, bool isUnsigned) {
  for (int32_t shift = 24; shift >= 0; shift -= 8) { // each byte to the top, then down
    Value top = v.shiftLeft(line, shift);
    Value weight = isUnsigned ? v.shiftRight(top, 24) : v.shiftRightSigned(top, 24);
    Value input = v.shiftRightSigned(v.shiftLeft(inputs, shift), 24);
    words = v.add(words, v.mul(weight, input));
  }
  return words;
}

Value ByteDot::pairs(Value unsignedBytes, Value signedBytes) const {
  const int64_t length = lineBytes / parts;
  const char *name = length == 16 ? "x86.ssse3.pmadd.ub.sw.128" : "x86.avx2.pmadd.ub.sw";
  return kernel.intrinsic(name, kernel.vectorOf(kernel.i16, length / 2),
                          {unsignedBytes, signedBytes});
}

Value ByteDot::pairSums(Value words, Value factors) const {
  const int64_t length = lineBytes / parts;
  const char *name = length == 16 ? "x86.sse2.pmadd.wd" : "x86.avx2.pmadd.wd";
  return kernel.intrinsic(name, kernel.vectorOf(kernel.i32, length / 4), {words, factors});
}

} // namespace grok::compiler
