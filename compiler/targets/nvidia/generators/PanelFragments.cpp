// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/PanelFragments.h"

#include <algorithm>

namespace grok::compiler {

using Element = WeightFormat::Element;

static constexpr int64_t lineBytes = 64;
static constexpr int64_t chunkBytes = 16; // of a line, for one lane
static constexpr int64_t superRuns = 4;   // runs that share a header of multipliers

// Of a step that waits for weights. Beyond, sums take the registers of all.
static constexpr int64_t fewRows = 16;

bool usesWeightRing(const KernelSpec &spec, const NvidiaChip &chip) {
  return chip.hasBulkCopies && spec.maxRows <= fewRows;
}

// Eight loads of 16 bytes are what registers hold beside the sums of few rows, or beside
// those of two digits, which are few at a time; four of int8 beside those of many. Codes
// of a unit are never more.
static int64_t stageInputsOf(const KernelSpec &spec) {
  const WeightFormat &format = spec.weight;
  const bool areFew = (spec.maxRows <= fewRows || spec.digits > 1) && format.element == Element::i8;
  return std::min<int64_t>(format.unit, format.hasMultipliers() || areFew ? 128 : 64);
}

// Lines that stand together in a lane: with more of them its loads of the rows'
// operands are wider, with fewer those of the weights touch fewer cache lines, or
// fewer of the same banks.
// A step may not cross multipliers.
static int64_t neighboursOf(const GpuBuilder &kernel) {
  const WeightFormat &format = kernel.spec.weight;
  const int64_t most = kernel.spec.maxRows == 1 || usesWeightRing(kernel.spec, kernel.chip) ? 1
                       : kernel.chip.major >= 9                                             ? 4
                                                                                            : 2;
  switch (format.element) {
  case Element::i3:
    return 2;
  case Element::i4:
    return 2 * std::min(std::min<int64_t>(most, 2), format.group / 32);
  case Element::bf16: // of float sums the order counts: one for all forms
    return 2;
  default:
    return std::min(most, stageInputsOf(kernel.spec) / 16);
  }
}

PanelFragments::PanelFragments(GpuBuilder &kernel)
    : kernel(kernel), format(kernel.spec.weight), contraction(contractionOf(kernel.spec)),
      stepInputs(format.element == Element::bf16 ? 16 : 32),
      stageInputs(stageInputsOf(kernel.spec)), neighbours(neighboursOf(kernel)),
      quad(kernel.remainder(kernel.lane, 4)),
      chunk(kernel.remainder(kernel.quotient(kernel.lane, 4), 4)) {}

size_t PanelFragments::lineCount() const {
  switch (format.element) {
  case Element::i3:
    return 3;
  case Element::i4:
    return steps();
  default:
    return words();
  }
}

// ---- loads

PanelFragments::Lane PanelFragments::laneOf(const GpuPanel &panel) const {
  Value column = kernel.mul(chunk, 4);
  Lane lane{kernel.rowAddress(panel.weights, chunk, chunkBytes),
            kernel.offset(panel.weights, column)};
  if (format.element != Element::i3) { // there a lane takes blocks of lines, see load()
    const int64_t lines = format.element == Element::i4 ? neighbours / 2 : neighbours;
    lane.lines = kernel.rowAddress(lane.lines, quad, lines * lineBytes);
  }
  return lane;
}

Value PanelFragments::loadLine(Value address) const {
  return kernel.load(kernel.vectorOf(kernel.i32, 4), address, chunkBytes);
}

Values PanelFragments::load(const Lane &lane, Value stage, int64_t step) const {
  return loadTwo(kernel.rowAddress(lane.lines, stage, lineRunBytes()), step);
}

Values PanelFragments::loadTwo(Value start, int64_t step) const {
  Values loaded;
  for (int64_t i = 2 * step; i < 2 * step + 2; ++i) {
    const int64_t line = i / neighbours * 4 * neighbours + i % neighbours;
    loaded.push_back(loadLine(kernel.offset(start, line * lineBytes)));
  }
  return loaded;
}

Values PanelFragments::load(const Lane &lane, Value stage) const {
  if (format.hasMultipliers()) {
    const Place place = placeOf(stage);
    return loadCodes(kernel.offset(lane.lines, place.lines),
                     kernel.offset(lane.multipliers, place.multipliers));
  }
  Values loaded;
  for (int64_t step = 0; step < steps(); ++step)
    loaded.append(load(lane, stage, step));
  return loaded;
}

// A stage lies in one super-run, and its runs stand together there.
PanelFragments::Place PanelFragments::placeOf(Value stage) const {
  const int64_t runs = contraction / format.group, whole = runs / superRuns * superRuns;
  Value run = kernel.mul(stage, stageInputs / format.group);
  Value inside = kernel.remainder(run, superRuns);
  Value super =
      kernel.mul(kernel.quotient(run, superRuns), superRuns * (runBytes() + panelColumns));
  Value header = kernel.index(superRuns * panelColumns);
  if (whole != runs) // the last super-run is shorter
    header = kernel.select(kernel.less(run, kernel.index(whole)), header,
                           kernel.index((runs - whole) * panelColumns));
  return {kernel.add(super, kernel.mul(inside, panelColumns)),
          kernel.add(kernel.add(super, header), kernel.mul(inside, runBytes()))};
}

// Of the lane's lines and its columns' multipliers, which start there.
Values PanelFragments::loadCodes(Value lines, Value multipliers) const {
  Values loaded;
  if (format.element == Element::i3) {
    Value block = kernel.minimum(quad, kernel.index(stageInputs / 32 - 1));
    lines = kernel.rowAddress(lines, block, 3 * lineBytes);
    for (int64_t i = 0; i < 3; ++i)
      loaded.push_back(loadLine(kernel.offset(lines, i * lineBytes)));
  } else {
    const int64_t together = neighbours / 2;
    for (int64_t i = 0; i < steps(); ++i)
      loaded.push_back(
          loadLine(kernel.offset(lines, (i / together * 4 * together + i % together) * lineBytes)));
  }
  for (size_t i = 0; i < runCount(); ++i)
    loaded.push_back(kernel.load(
        kernel.i32, kernel.offset(multipliers, static_cast<int64_t>(i) * panelColumns)));
  return loaded;
}

// ---- in shared memory

int64_t PanelFragments::stagedBytes() const {
  return lineRunBytes() + static_cast<int64_t>(runCount()) * panelColumns;
}

llvm::SmallVector<PanelFragments::Piece, 2> PanelFragments::pieces(Value panel, Value stage) const {
  if (!format.hasMultipliers())
    return {{kernel.rowAddress(panel, stage, lineRunBytes()), lineRunBytes()}};
  const Place place = placeOf(stage);
  Value multipliers = kernel.offset(panel, place.multipliers);
  if (static_cast<int64_t>(runCount()) == superRuns) // a super-run, whole
    return {{multipliers, stagedBytes()}};
  return {{multipliers, static_cast<int64_t>(runCount()) * panelColumns},
          {kernel.offset(panel, place.lines), lineRunBytes()}};
}

PanelFragments::Stretch PanelFragments::stretch(Value panel, Value first, Value last) const {
  if (!format.hasMultipliers()) {
    Value stages = kernel.add(kernel.sub(last, first), 1);
    return {kernel.rowAddress(panel, first, lineRunBytes()), kernel.mul(stages, lineRunBytes())};
  }
  Value begin = placeOf(first).multipliers, end = kernel.add(placeOf(last).lines, lineRunBytes());
  return {kernel.offset(panel, begin), kernel.sub(end, begin)};
}

Values PanelFragments::loadStaged(Value staged) const {
  const Lane lane = laneOf({staged, Value(), Value()});
  if (format.hasMultipliers())
    return loadCodes(kernel.offset(lane.lines, static_cast<int64_t>(runCount()) * panelColumns),
                     lane.multipliers);
  Values loaded;
  for (int64_t step = 0; step < steps(); ++step)
    loaded.append(loadTwo(lane.lines, step));
  return loaded;
}

// ---- opening

static Values wordsOf(GpuBuilder &kernel, Value line) {
  Values words;
  for (int64_t i = 0; i < 4; ++i)
    words.push_back(kernel.extract(line, i));
  return words;
}

static PanelFragments::Step stepOf(const Values &low, const Values &high) {
  return {{{low[0], low[1], high[0], high[1]}, {low[2], low[3], high[2], high[3]}}};
}

// Bits of every byte, shifted left (negative: right) by `by`, that `mask` keeps.
static Value field(GpuBuilder &kernel, Value word, int32_t by, uint32_t mask) {
  if (by > 0)
    word = kernel.shiftLeft(word, by);
  if (by < 0)
    word = kernel.shiftRight(word, -by);
  return kernel.bitAnd(word, kernel.word(static_cast<int32_t>(mask * 0x01010101u)));
}

// A code at the top of its byte with the sign bit turned is a signed byte:
// 2^codeShift() (code - zero point).
static Value signedCode(GpuBuilder &kernel, Value word, int32_t by, uint32_t mask) {
  return kernel.bitXor(field(kernel, word, by, mask),
                       kernel.word(static_cast<int32_t>(0x80808080u)));
}

void PanelFragments::openFours(mlir::ValueRange lines, llvm::SmallVectorImpl<Step> &steps) const {
  for (Value line : lines) {
    Values low, high;
    for (Value word : wordsOf(kernel, line)) {
      low.push_back(signedCode(kernel, word, 4, 0xf0));
      high.push_back(signedCode(kernel, word, 0, 0xf0));
    }
    steps.push_back(stepOf(low, high));
  }
}

// Every lane has opened the three lines of one block of 32 inputs to four, of two
// quads each; line t of every block is lane t's.
void PanelFragments::openThrees(mlir::ValueRange lines, llvm::SmallVectorImpl<Step> &steps) const {
  Values items = transposed(foldThrees(lines)); // [block][word]
  for (int64_t block = 0; block < stageInputs / 32; ++block) {
    Values low, high;
    for (int64_t word = 0; word < 4; ++word) {
      low.push_back(signedCode(kernel, items[4 * block + word], 5, 0xe0));
      high.push_back(signedCode(kernel, items[4 * block + word], 2, 0xe0));
    }
    steps.push_back(stepOf(low, high));
  }
}

// The bits of q6 and q7 as a fourth line like the others.
Values PanelFragments::foldThrees(mlir::ValueRange lines) const {
  Values first = wordsOf(kernel, lines[0]), second = wordsOf(kernel, lines[1]),
         third = wordsOf(kernel, lines[2]), items(first);
  items.append(second);
  items.append(third);
  for (size_t i = 0; i < 4; ++i) {
    Value q6 = kernel.bitOr(field(kernel, first[i], -6, 3), field(kernel, third[i], -4, 4));
    Value q7 = kernel.bitOr(field(kernel, second[i], -3, 0x18), field(kernel, third[i], -2, 0x20));
    items.push_back(kernel.bitOr(q6, q7));
  }
  return items;
}

// Items of four words, item i of lane t for item t of lane i: halves, then fourths.
Values PanelFragments::transposed(Values items) const {
  for (int64_t bit = 2; bit >= 1; bit /= 2) {
    Value isHigh = kernel.less(kernel.index(0), kernel.bitAnd(quad, kernel.index(bit)));
    for (int64_t low = 0; low < 4; ++low) {
      if (low & bit)
        continue;
      for (int64_t word = 0; word < 4; ++word) {
        Value &a = items[4 * low + word], &b = items[4 * (low + bit) + word];
        Value got = kernel.shuffleXor(kernel.select(isHigh, a, b), static_cast<int32_t>(bit));
        a = kernel.select(isHigh, got, a);
        b = kernel.select(isHigh, b, got);
      }
    }
  }
  return items;
}

llvm::SmallVector<PanelFragments::Step, 4> PanelFragments::open(mlir::ValueRange loaded) const {
  llvm::SmallVector<Step, 4> result;
  mlir::ValueRange lines = loaded.take_front(lineCount());
  switch (format.element) {
  case Element::i4:
    openFours(lines, result);
    break;
  case Element::i3:
    openThrees(lines, result);
    break;
  default:
    for (int64_t i = 0; i < steps(); ++i)
      result.push_back(stepOf(wordsOf(kernel, lines[2 * i]), wordsOf(kernel, lines[2 * i + 1])));
  }
  return result;
}

Values PanelFragments::multipliers(mlir::ValueRange loaded, int64_t run) const {
  Value word = loaded[lineCount() + run];
  Values result;
  for (int32_t column = 0; column < 4; ++column) {
    Value top = column == 3 ? word : kernel.shiftLeft(word, 24 - 8 * column);
    result.push_back(kernel.shiftRightSigned(top, 24));
  }
  return result;
}

} // namespace grok::compiler
