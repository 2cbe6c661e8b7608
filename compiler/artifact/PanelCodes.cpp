// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weaves codes of several inputs into the bytes that kernels take apart with
// the fewest instructions.
#include "compiler/artifact/PanelCodes.h"

#include "compiler/quantization/Parallel.h"

#include <array>
#include <cassert>
#include <cstring>

using namespace grok;
using namespace grok::compiler;
using quantization::EncodedMatrix;

static constexpr int64_t lanes = PackedTensor::panelColumns;
/// Inputs of one column that stand together in a line.
static constexpr int64_t quadRows = 4;
/// Multiplier groups whose multipliers stand before their codes.
static constexpr int64_t superGroups = 4;

namespace {
/// A line of a panel, or one byte per code: [16 columns][4 inputs].
using Line = std::array<uint8_t, lanes * quadRows>;

/// Writes one panel, super-group by super-group.
class PanelWriter {
public:
  PanelWriter(const PackedTensor &tensor, const EncodedMatrix &matrix, int64_t panel);
  /// Bytes of a super-group that is not the panel's last.
  int64_t superBytes() const;
  void writeSuperGroup(int64_t super, std::byte *out) const;

private:
  Line readQuad(int64_t row) const;
  void writeMultipliers(int64_t group, std::byte *out) const;
  std::byte *writeFourBits(int64_t firstRow, std::byte *out) const;
  std::byte *writeThreeBits(int64_t firstRow, std::byte *out) const;

  const EncodedMatrix &matrix;
  int64_t groupRows, groups;
  int bits;
  uint8_t zero;
  std::array<int64_t, lanes> columns; // -1 = padding
  bool adjacent;                      // the columns follow one another
};
} // namespace

PanelWriter::PanelWriter(const PackedTensor &tensor, const EncodedMatrix &matrix, int64_t panel)
    : matrix(matrix), groupRows(tensor.multiplierRows), groups(matrix.rows / groupRows),
      bits(tensor.bits), zero(static_cast<uint8_t>(quantization::zeroPointOf(matrix.format.kind))) {
  for (int64_t lane = 0; lane < lanes; ++lane)
    columns[lane] = tensor.columnAt(panel, lane);
  adjacent = columns.back() >= 0;
}

int64_t PanelWriter::superBytes() const { return superGroups * lanes * (1 + groupRows * bits / 8); }

Line PanelWriter::readQuad(int64_t row) const {
  Line quad;
  quad.fill(zero);
  for (int64_t part = 0; part < quadRows; ++part) {
    const int8_t *codes = matrix.codes.data() + (row + part) * matrix.columns;
    for (int64_t lane = 0; lane < lanes; ++lane)
      if (adjacent || columns[lane] >= 0)
        quad[lane * quadRows + part] =
            static_cast<uint8_t>(codes[adjacent ? columns[0] + lane : columns[lane]] + zero);
  }
  return quad;
}

void PanelWriter::writeMultipliers(int64_t group, std::byte *out) const {
  const int8_t *multipliers = matrix.multipliers.data() + group * matrix.columns;
  for (int64_t lane = 0; lane < lanes; ++lane)
    out[lane] = static_cast<std::byte>(columns[lane] < 0 ? 0 : multipliers[columns[lane]]);
}

/// Eight rows in one line.
std::byte *PanelWriter::writeFourBits(int64_t firstRow, std::byte *out) const {
  const Line low = readQuad(firstRow), high = readQuad(firstRow + quadRows);
  for (size_t i = 0; i < low.size(); ++i)
    out[i] = static_cast<std::byte>(low[i] | high[i] << 4);
  return out + low.size();
}

/// Thirty-two rows in three lines: two quads in the low six bits of each; the
/// last two quads fill the high bits, two of theirs in lines 0 and 1, the third
/// in line 2.
std::byte *PanelWriter::writeThreeBits(int64_t firstRow, std::byte *out) const {
  std::array<Line, 8> quads;
  for (size_t i = 0; i < quads.size(); ++i)
    quads[i] = readQuad(firstRow + static_cast<int64_t>(i) * quadRows);
  constexpr size_t size = std::tuple_size_v<Line>;
  for (size_t i = 0; i < size; ++i) {
    const unsigned sixth = quads[6][i], seventh = quads[7][i];
    out[i] = static_cast<std::byte>(quads[0][i] | quads[1][i] << 3 | (sixth & 3) << 6);
    out[size + i] = static_cast<std::byte>(quads[2][i] | quads[3][i] << 3 | (seventh & 3) << 6);
    out[2 * size + i] = static_cast<std::byte>(quads[4][i] | quads[5][i] << 3 | sixth >> 2 << 6 |
                                               seventh >> 2 << 7);
  }
  return out + 3 * size;
}

void PanelWriter::writeSuperGroup(int64_t super, std::byte *out) const {
  const int64_t first = super * superGroups, last = std::min(first + superGroups, groups);
  for (int64_t group = first; group < last; ++group, out += lanes)
    writeMultipliers(group, out);
  for (int64_t row = first * groupRows; row < last * groupRows; row += bits == 4 ? 8 : 32)
    out = bits == 4 ? writeFourBits(row, out) : writeThreeBits(row, out);
}

/// Panels side by side share the source's cache lines, so they advance together.
static void packBlock(const PackedTensor &tensor, const EncodedMatrix &matrix, int64_t firstPanel,
                      int64_t lastPanel, std::byte *out) {
  std::vector<PanelWriter> writers;
  for (int64_t panel = firstPanel; panel < lastPanel; ++panel)
    writers.emplace_back(tensor, matrix, panel);
  const int64_t superRows = superGroups * tensor.multiplierRows;
  const int64_t supers = (matrix.rows + superRows - 1) / superRows;
  for (int64_t super = 0; super < supers; ++super)
    for (size_t i = 0; i < writers.size(); ++i)
      writers[i].writeSuperGroup(super, out + static_cast<int64_t>(i) * tensor.panelBytes() +
                                            super * writers[i].superBytes());
}

void compiler::packCodes(const PackedTensor &tensor, const EncodedMatrix &matrix,
                         const PackedChunk &chunk, std::span<std::byte> out, int threads) {
  assert(matrix.rows == tensor.inputs() && matrix.columns == tensor.outputs());
  assert(matrix.format.multiplierRows == tensor.multiplierRows);
  constexpr int64_t together = 16;
  quantization::parallel(chunk.lastPanel - chunk.firstPanel, threads,
                         [&](int64_t begin, int64_t end) {
                           for (int64_t block = begin; block < end; block += together)
                             packBlock(tensor, matrix, chunk.firstPanel + block,
                                       chunk.firstPanel + std::min(block + together, end),
                                       out.data() + block * tensor.panelBytes());
                         });
}
