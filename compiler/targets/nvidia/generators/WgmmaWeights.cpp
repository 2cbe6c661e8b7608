// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/WgmmaWeights.h"

namespace grok::compiler {

using Element = WeightFormat::Element;

static constexpr int64_t groupWarps = 4;
static constexpr int64_t lineBytes = 64, chunkBytes = 16; // chunk: four columns of a line
static constexpr int64_t superRuns = 4;                   // runs that share a header of multipliers
static constexpr int64_t largestUnit = 128;

static int64_t partInputsOf(const WeightFormat &format) {
  return format.element == Element::i3 ? 32 : 16;
}

// Lanes of a panel run along the inputs first: eight of them store the whole of one
// column's 128 bytes, which touches every bank once.
WgmmaWeights::WgmmaWeights(GpuBuilder &kernel)
    : kernel(kernel), format(kernel.spec.weight), contraction(contractionOf(kernel.spec)),
      partInputs(partInputsOf(format)), blocks(format.unit / partInputs),
      lanesOfPart(largestUnit / partInputs), warp(kernel.remainder(kernel.warp, groupWarps)),
      block(kernel.remainder(kernel.lane, lanesOfPart)),
      chunk(kernel.remainder(kernel.quotient(kernel.lane, lanesOfPart), 4)),
      half(kernel.quotient(kernel.lane, 4 * lanesOfPart)) {}

Value WgmmaWeights::slotOf(int64_t part) const {
  if (parts() == 1)
    return kernel.add(kernel.mul(warp, 2), half);
  return kernel.add(warp, part * groupWarps);
}

// ---- loads

// Of the part's first line; of formats with multipliers also the address of those of
// its four columns.
Value WgmmaWeights::lineAddress(const GpuPanel &panel, Value unit, Value &multipliers) const {
  Value inside = kernel.minimum(block, kernel.index(blocks - 1));
  Value lines = kernel.rowAddress(panel.weights, chunk, chunkBytes);
  if (!format.hasMultipliers()) {
    lines = kernel.rowAddress(lines, unit, format.unit * panelColumns);
    return kernel.rowAddress(lines, inside, partInputs * panelColumns);
  }
  const int64_t runs = contraction / format.group, whole = runs / superRuns * superRuns;
  const int64_t runBytes = panelColumns * format.group * format.bits() / 8;
  const int64_t partsOfRun = format.group / partInputs;
  Value run =
      kernel.add(kernel.mul(unit, format.unit / format.group), kernel.quotient(inside, partsOfRun));
  Value ofSuper = kernel.remainder(run, superRuns);
  Value super = kernel.mul(kernel.quotient(run, superRuns), superRuns * (runBytes + panelColumns));
  Value header = kernel.index(superRuns * panelColumns);
  if (whole != runs) // the last super-run is shorter
    header = kernel.select(kernel.less(run, kernel.index(whole)), header,
                           kernel.index((runs - whole) * panelColumns));
  multipliers = kernel.offset(kernel.rowAddress(panel.weights, chunk, 4),
                              kernel.add(super, kernel.mul(ofSuper, panelColumns)));
  lines =
      kernel.offset(lines, kernel.add(kernel.add(super, header), kernel.mul(ofSuper, runBytes)));
  return kernel.rowAddress(lines, kernel.remainder(inside, partsOfRun), runBytes / partsOfRun);
}

Values WgmmaWeights::load(const GpuPanel &panel, Value unit) const {
  Value multipliers;
  Value lines = lineAddress(panel, unit, multipliers);
  const int64_t count = partInputs * panelColumns * format.bits() / 8 / lineBytes;
  Values loaded;
  for (int64_t i = 0; i < count; ++i)
    loaded.push_back(kernel.load(kernel.vectorOf(kernel.i32, 4),
                                 kernel.offset(lines, i * lineBytes), chunkBytes));
  if (multipliers)
    loaded.push_back(kernel.load(kernel.i32, multipliers));
  return loaded;
}

// ---- opening

// Bits of every byte, shifted left (negative: right) by `by`, that `mask` keeps.
Value WgmmaWeights::field(Value word, int32_t by, uint32_t mask) const {
  if (by > 0)
    word = kernel.shiftLeft(word, by);
  if (by < 0)
    word = kernel.shiftRight(word, -by);
  return kernel.bitAnd(word, kernel.word(static_cast<int32_t>(mask * 0x01010101u)));
}

// Codes of four bytes less the zero point, times a multiplier. Bytes 0 and 2 are
// products in halves of a word that `offset` keeps positive, so that none borrows
// from its neighbour; 1 and 3 are the same one byte higher.
Value WgmmaWeights::multiplied(Value codes, Value multiplier, Value offset) const {
  auto masked = [&](Value word, uint32_t mask) {
    return kernel.bitAnd(word, kernel.word(static_cast<int32_t>(mask)));
  };
  Value even = kernel.add(kernel.mul(masked(codes, 0x00ff00ff), multiplier), offset);
  Value odd =
      kernel.add(kernel.mul(masked(codes, 0xff00ff00), multiplier), kernel.shiftLeft(offset, 8));
  return kernel.bitOr(masked(even, 0x00ff00ff), masked(odd, 0xff00ff00));
}

// Four lines of four inputs, as they stand.
Values WgmmaWeights::openedBytes(ValueRange loaded, int64_t column) const {
  Values words;
  for (Value line : loaded)
    words.push_back(kernel.extract(line, column));
  return words;
}

// A line is two quads, in the low and the high halves of its bytes.
Values WgmmaWeights::openedFours(ValueRange loaded, int64_t column) const {
  Values codes;
  for (Value line : loaded) {
    Value word = kernel.extract(line, column);
    codes.push_back(field(word, 0, 0x0f));
    codes.push_back(field(word, -4, 0x0f));
  }
  return codes;
}

// Three lines are eight quads; the last two have their bits in what the first six
// leave of each byte.
Values WgmmaWeights::openedThrees(ValueRange loaded, int64_t column) const {
  Values lines;
  for (Value line : loaded)
    lines.push_back(kernel.extract(line, column));
  Values codes;
  for (Value word : lines) {
    codes.push_back(field(word, 0, 0x07));
    codes.push_back(field(word, -3, 0x07));
  }
  for (int32_t i = 0; i < 2; ++i)
    codes.push_back(kernel.bitOr(field(lines[i], -6, 0x03), field(lines[2], -4 - i, 0x04)));
  return codes;
}

// The words of four inputs each of one column, as signed bytes.
Values WgmmaWeights::opened(ValueRange loaded, int64_t column) const {
  if (!format.hasMultipliers())
    return openedBytes(loaded, column);
  ValueRange lines = loaded.drop_back();
  const bool isFour = format.element == Element::i4;
  Values words = isFour ? openedFours(lines, column) : openedThrees(lines, column);
  const int32_t zeroPoint = isFour ? 8 : 4;
  Value top = kernel.shiftLeft(loaded.back(), static_cast<int32_t>(24 - 8 * column));
  Value multiplier = kernel.shiftRightSigned(top, 24);
  Value offset = kernel.sub(kernel.word(0x01000100),
                            kernel.mul(multiplier, kernel.word(zeroPoint * 0x00010001)));
  for (Value &word : words)
    word = multiplied(word, multiplier, offset);
  return words;
}

void WgmmaWeights::store(ValueRange loaded, int64_t part, Value tile) const {
  const int64_t pieces = partInputs / 16;
  Value firstRow = kernel.add(kernel.mul(slotOf(part), panelColumns), kernel.mul(chunk, 4));
  auto emit = [&] {
    for (int64_t column = 0; column < 4; ++column) {
      Values words = opened(loaded, column);
      Value row = kernel.add(firstRow, column);
      Value to = kernel.rowAddress(tile, row, rowBytes), line = kernel.remainder(row, 8);
      for (int64_t piece = 0; piece < pieces; ++piece) {
        Values four;
        for (Value word : ValueRange(words).slice(4 * piece, 4))
          four.push_back(kernel.broadcast(word, 1));
        Value place = kernel.bitXor(kernel.add(kernel.mul(block, pieces), piece), line);
        kernel.store(kernel.joined(four), kernel.rowAddress(to, place, 16), 16);
      }
    }
  };
  if (format.unit == largestUnit)
    return emit();
  kernel.when(kernel.less(block, kernel.index(blocks)), emit);
}

} // namespace grok::compiler
