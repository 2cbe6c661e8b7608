// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/PackedLines.h"

namespace grok::compiler {

static constexpr int64_t lineBytes = 64;

// Runs that share a header of multipliers.
static constexpr int64_t superRuns = 4;

PackedLines::PackedLines(KernelBuilder &kernel, const WeightFormat &format, int64_t contraction)
    : kernel(kernel), format(format), run(format.hasMultipliers() ? format.group : format.unit),
      runs(contraction / run) {}

int64_t PackedLines::zeroPoint() const {
  return format.hasMultipliers() ? int64_t(1) << (format.bits() - 1) : 0;
}

PackedLines::Place PackedLines::placeOf(Value number) const {
  const int64_t runBytes = panelColumns * run * format.bits() / 8;
  if (!format.hasMultipliers())
    return {kernel.mul(number, runBytes), Value()};
  const int64_t whole = runs / superRuns * superRuns, left = runs - whole;
  Value super = kernel.quotient(number, superRuns), inside = kernel.remainder(number, superRuns);
  Value start = kernel.mul(super, superRuns * (runBytes + panelColumns));
  Value header = kernel.index(superRuns * panelColumns);
  if (left) // the last super-run is shorter
    header = kernel.select(kernel.less(number, kernel.index(whole)), header,
                           kernel.index(left * panelColumns));
  return {kernel.add(kernel.add(start, header), kernel.mul(inside, runBytes)),
          kernel.add(start, kernel.mul(inside, panelColumns))};
}

int64_t PackedLines::bundleInputs() const {
  switch (format.element) {
  case WeightFormat::Element::i4:
    return 8;
  case WeightFormat::Element::i3:
    return 32;
  default:
    return 4;
  }
}

void PackedLines::prefetchBundle(Value address) const {
  for (int64_t at = 0; at < bundleBytes() && kernel.tiles.prefetchBytes; at += lineBytes)
    kernel.prefetch(kernel.offset(address, at + kernel.tiles.prefetchBytes));
}

Values PackedLines::openBundle(Value address) const {
  switch (format.element) {
  case WeightFormat::Element::i4:
    return openFours(address);
  case WeightFormat::Element::i3:
    return openThrees(address);
  default:
    return {load(address, 0)};
  }
}

Value PackedLines::load(Value address, int64_t number) const {
  const bool isAligned = !format.hasMultipliers() || runs % superRuns == 0;
  return kernel.load(kernel.vectorOf(kernel.i8, lineBytes),
                     kernel.offset(address, number * lineBytes), isAligned ? 64 : 16);
}

// Bits from `shift` on of every byte, of which `mask` keeps the wanted ones:
// what 32-bit shifts bring in from the neighbour is always masked.
static Value field(KernelBuilder &kernel, Value line, int32_t shift, int64_t mask) {
  if (shift) {
    auto words = kernel.vectorOf(kernel.i32, lineBytes / 4);
    line = kernel.bitCast(kernel.shiftRight(kernel.bitCast(line, words), shift),
                          kernel.vectorOf(kernel.i8, lineBytes));
  }
  return kernel.bitAnd(line, kernel.constantLike(line, static_cast<double>(mask)));
}

Values PackedLines::openFours(Value address) const {
  Value line = load(address, 0);
  return {field(kernel, line, 0, 15), field(kernel, line, 4, 15)};
}

Values PackedLines::openThrees(Value address) const {
  Value first = load(address, 0), second = load(address, 1), third = load(address, 2);
  Values lines;
  for (Value line : {first, second, third}) {
    lines.push_back(field(kernel, line, 0, 7));
    lines.push_back(field(kernel, line, 3, 7));
  }
  lines.push_back(kernel.bitOr(field(kernel, first, 6, 3), field(kernel, third, 4, 4)));
  lines.push_back(kernel.bitOr(field(kernel, second, 6, 3), field(kernel, third, 5, 4)));
  return lines;
}

// ---- opening

LineOpener::LineOpener(KernelBuilder &kernel, const WeightFormat &format, ByteDot::Bytes stored,
                       Value multipliers)
    : kernel(kernel), stored(stored) {
  if (!format.hasMultipliers() || stored == ByteDot::Bytes::codes)
    return;
  auto bytes = kernel.vectorOf(kernel.i8, panelColumns);
  Value words = kernel.widen(kernel.load(bytes, multipliers), kernel.i32);
  factors = halvesOf(kernel, words);
  const int32_t zeroPoint = 1 << (format.bits() - 1);
  Value low = kernel.mul(words, kernel.splat(zeroPoint));
  if (stored == ByteDot::Bytes::shifted)
    low = kernel.sub(low, kernel.splat(128));
  low = kernel.bitAnd(low, kernel.splat(255)); // in all four bytes of the word
  origin = kernel.bitCast(kernel.mul(low, kernel.splat(0x01010101)),
                          kernel.vectorOf(kernel.i8, lineBytes));
}

// There is no product of bytes. A product of half words has the right low byte,
// and with the low byte cleared before, the right high byte.
Value LineOpener::open(Value line) const {
  if (!factors)
    return stored == ByteDot::Bytes::shifted ? kernel.bitXor(line, kernel.constantLike(line, -128))
                                             : line;
  Value halves = kernel.bitCast(line, kernel.vectorOf(kernel.i16, lineBytes / 2));
  Value highOnly = kernel.bitAnd(halves, kernel.constantLike(halves, -256));
  Value low = kernel.bitAnd(kernel.mul(halves, factors), kernel.constantLike(halves, 255));
  Value products = kernel.bitOr(low, kernel.mul(highOnly, factors));
  return kernel.sub(kernel.bitCast(products, kernel.vectorOf(kernel.i8, lineBytes)), origin);
}

} // namespace grok::compiler
