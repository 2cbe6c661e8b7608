// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reordering of checkpoint tensors into kernel order.
#include "compiler/artifact/PackedTensor.h"

#include "compiler/quantization/Parallel.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace grok;
using namespace grok::compiler;

static constexpr int64_t lanes = PackedTensor::panelColumns;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t PackedTensor::expertCount() const {
  if (!experts.empty())
    return static_cast<int64_t>(experts.size());
  return logical.size() == 3 ? logical[0] : 1;
}

int64_t PackedTensor::expertAt(int64_t index) const {
  return experts.empty() ? index : experts[index];
}

int64_t PackedTensor::inputs() const {
  if (logical.size() < 2)
    return 1;
  return transposed ? logical.back() : logical[logical.size() - 2];
}

int64_t PackedTensor::outputs() const {
  return transposed ? logical[logical.size() - 2] : logical.back();
}

int64_t PackedTensor::panels() const {
  int64_t group = columnGroup ? columnGroup : outputs();
  return outputs() / group * (roundUp(group, lanes) / lanes);
}

int64_t PackedTensor::panelBytes() const {
  if (packing == Packing::codes16)
    return lanes * (inputs() * bits / 8 + inputs() / multiplierRows);
  return lanes * inputs() * checkpoint::sizeOf(dtype);
}

int64_t PackedTensor::columnAt(int64_t panel, int64_t lane) const {
  int64_t group = columnGroup ? columnGroup : outputs();
  int64_t panelsPerGroup = roundUp(group, lanes) / lanes;
  int64_t inGroup = panel % panelsPerGroup * lanes + lane;
  return inGroup < group ? panel / panelsPerGroup * group + inGroup : -1;
}

uint64_t PackedTensor::contentBytes() const {
  uint64_t bytes = checkpoint::sizeOf(dtype);
  for (int64_t size : shape)
    bytes *= size;
  return bytes;
}

void PackedTensor::placeOnRank(int64_t tensorRank, int64_t tensorRanks, int64_t expertRank,
                               int64_t expertRanks) {
  begin.assign(stored.size(), 0);
  for (const Slice &slice : cuts) {
    using Axis = Slice::Axis;
    const int64_t rank = slice.axis == Axis::tensor    ? tensorRank
                         : slice.axis == Axis::experts ? expertRank
                                                       : expertRank * tensorRanks + tensorRank;
    const int64_t ranks = (slice.axis == Axis::experts ? 1 : tensorRanks) *
                          (slice.axis == Axis::tensor ? 1 : expertRanks);
    begin[slice.dim] = rank * slice.parts / ranks * part[slice.dim];
  }
  if (stored.size() == 3 && part[0] != stored[0]) {
    if (experts.empty()) {
      experts.resize(part[0]);
      std::iota(experts.begin(), experts.end(), 0);
    }
    for (int64_t &expert : experts)
      expert += begin[0];
  }
}

static bool readNumber(std::string_view text, int64_t &number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0;
}

bool compiler::readPacking(std::string_view text, PackedTensor &tensor) {
  using Packing = PackedTensor::Packing;
  tensor.packingText = text;
  if (text == "scales16" || text == "vector16" || text == "rope" || text == "first16" ||
      text == "slots") {
    tensor.packing = text == "rope"       ? Packing::rope
                     : text == "first16"  ? Packing::first16
                     : text == "slots"    ? Packing::slots
                     : text == "scales16" ? Packing::scales16
                                          : Packing::vector16;
    return true;
  }
  if (text.starts_with("panel16.k")) {
    tensor.packing = Packing::panel16;
    return readNumber(text.substr(9), tensor.kPack);
  }
  tensor.packing = Packing::codes16;
  tensor.bits = text.starts_with("panel16.i4.g") ? 4 : text.starts_with("panel16.i3.g") ? 3 : 0;
  return tensor.bits && readNumber(text.substr(12), tensor.multiplierRows) &&
         (tensor.multiplierRows == 32 || tensor.multiplierRows == 64);
}

std::vector<PackedChunk> compiler::chunksOf(const PackedTensor &tensor, uint64_t maxBytes) {
  const bool coded = tensor.packing == PackedTensor::Packing::codes16;
  if (tensor.packing != PackedTensor::Packing::panel16 && !coded)
    return {{0, 0, 0, tensor.contentBytes()}};
  const int64_t panels = tensor.panels(), panelBytes = tensor.panelBytes();
  const int64_t step = std::clamp(static_cast<int64_t>(maxBytes) / panelBytes, int64_t(1), panels);
  std::vector<PackedChunk> chunks;
  for (int64_t index = 0; index < tensor.expertCount(); ++index)
    for (int64_t first = 0; first < panels; first += step) {
      int64_t last = std::min(first + step, panels);
      chunks.push_back({tensor.expertAt(index), first, last,
                        static_cast<uint64_t>((last - first) * panelBytes)});
    }
  return chunks;
}

namespace {
/// Strides of one expert's matrix in the checkpoint, in elements.
struct Strides {
  int64_t k, column;
};

/// The columns of one panel: where each lane's column starts, or none.
struct PanelColumns {
  int64_t of[lanes];
  bool adjacent; // lane l is column of[0] + l

  PanelColumns(const PackedTensor &tensor, int64_t panel) {
    for (int64_t lane = 0; lane < lanes; ++lane)
      of[lane] = tensor.columnAt(panel, lane);
    adjacent = !tensor.transposed && of[lanes - 1] >= 0;
  }
};
} // namespace

/// Interleaves KPack rows of 16 adjacent elements; vectorised by the compiler.
template <typename Element, int64_t KPack>
static void packAdjacent(const std::byte *source, int64_t rowStride, Element *line) {
  Element rows[KPack][lanes];
  for (int64_t part = 0; part < KPack; ++part)
    std::memcpy(rows[part], source + part * rowStride * sizeof(Element), sizeof(rows[part]));
  for (int64_t lane = 0; lane < lanes; ++lane)
    for (int64_t part = 0; part < KPack; ++part)
      line[lane * KPack + part] = rows[part][lane];
}

template <typename Element, int64_t KPack>
static void packScattered(const std::byte *source, Strides strides, const PanelColumns &columns,
                          Element *line) {
  for (int64_t part = 0; part < KPack; ++part)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Element value = 0;
      if (columns.of[lane] >= 0)
        std::memcpy(&value,
                    source + (part * strides.k + columns.of[lane] * strides.column) *
                                 static_cast<int64_t>(sizeof(Element)),
                    sizeof(Element));
      line[lane * KPack + part] = value;
    }
}

template <typename Element, int64_t KPack>
static void packRows(const PackedTensor &tensor, const std::byte *source, Strides strides,
                     int64_t panel, int64_t firstRow, int64_t lastRow, std::byte *out) {
  constexpr int64_t size = sizeof(Element);
  const PanelColumns columns(tensor, panel);
  for (int64_t k = firstRow; k < lastRow; k += KPack) {
    Element line[lanes * KPack];
    const std::byte *from = source + k * strides.k * size;
    if (columns.adjacent)
      packAdjacent<Element, KPack>(from + columns.of[0] * size, strides.k, line);
    else
      packScattered<Element, KPack>(from, strides, columns, line);
    std::memcpy(out + k * lanes * size, line, sizeof(line));
  }
}

template <typename Element, int64_t KPack>
static void packPanels(const PackedTensor &tensor, const std::byte *source, std::byte *out,
                       int64_t origin, int64_t firstPanel, int64_t lastPanel) {
  const int64_t inputs = tensor.inputs();
  const Strides strides = tensor.transposed ? Strides{1, inputs} : Strides{tensor.outputs(), 1};
  const int64_t panelBytes = inputs * lanes * static_cast<int64_t>(sizeof(Element));
  // Panels side by side share the source's cache lines, so they advance together.
  constexpr int64_t together = 16, rows = 64;
  for (int64_t block = firstPanel; block < lastPanel; block += together)
    for (int64_t row = 0; row < inputs; row += rows)
      for (int64_t panel = block; panel < std::min(block + together, lastPanel); ++panel)
        packRows<Element, KPack>(tensor, source, strides, panel, row, std::min(row + rows, inputs),
                                 out + (panel - origin) * panelBytes);
}

static void packMatrix(const PackedTensor &tensor, const std::byte *source,
                       const PackedChunk &chunk, std::byte *out, int threads) {
  const int64_t origin = chunk.firstPanel;
  quantization::parallel(chunk.lastPanel - origin, threads, [&](int64_t begin, int64_t end) {
    begin += origin;
    end += origin;
    switch (tensor.dtype) {
    case checkpoint::DType::f32:
      return packPanels<uint32_t, 1>(tensor, source, out, origin, begin, end);
    case checkpoint::DType::bf16:
      return tensor.kPack == 2 ? packPanels<uint16_t, 2>(tensor, source, out, origin, begin, end)
                               : packPanels<uint16_t, 1>(tensor, source, out, origin, begin, end);
    case checkpoint::DType::i8:
      return tensor.kPack == 4 ? packPanels<uint8_t, 4>(tensor, source, out, origin, begin, end)
                               : packPanels<uint8_t, 1>(tensor, source, out, origin, begin, end);
    }
  });
}

static void packScales(const PackedTensor &tensor, const std::byte *source, std::byte *out) {
  const int64_t size = checkpoint::sizeOf(tensor.dtype);
  for (int64_t group = 0; group < tensor.inputs(); ++group)
    for (int64_t panel = 0; panel < tensor.panels(); ++panel)
      for (int64_t lane = 0; lane < lanes; ++lane) {
        int64_t column = tensor.columnAt(panel, lane);
        if (column >= 0)
          std::memcpy(out + ((group * tensor.panels() + panel) * lanes + lane) * size,
                      source + (group * tensor.outputs() + column) * size, size);
      }
}

/// Angles in float32 as the reference computes them (specification section 3,
/// step 4); sine and cosine correctly rounded from double.
static void makeRope(const PackedTensor &tensor, std::byte *out) {
  const int64_t positions = tensor.shape[0], half = tensor.shape[2];
  auto *table = reinterpret_cast<float *>(out);
  for (int64_t j = 0; j < half; ++j) {
    float exponent = static_cast<float>(2 * j) / static_cast<float>(2 * half);
    float inverse = 1.0f / static_cast<float>(std::pow(tensor.ropeBase, double(exponent)));
    for (int64_t position = 0; position < positions; ++position) {
      float angle = static_cast<float>(position) * inverse;
      table[(position * 2 + 0) * half + j] = static_cast<float>(std::cos(double(angle)));
      table[(position * 2 + 1) * half + j] = static_cast<float>(std::sin(double(angle)));
    }
  }
}

static void makeSlots(const PackedTensor &tensor, std::byte *out) {
  std::vector<int32_t> slots(tensor.shape[0], -1);
  for (size_t place = 0; place < tensor.experts.size(); ++place)
    slots[tensor.experts[place]] = static_cast<int32_t>(place);
  std::memcpy(out, slots.data(), slots.size() * sizeof(int32_t));
}

void compiler::packChunk(const PackedTensor &tensor, std::span<const std::byte> source,
                         const PackedChunk &chunk, std::span<std::byte> out, int threads) {
  const int64_t scaleBytes = tensor.inputs() * tensor.outputs() * checkpoint::sizeOf(tensor.dtype);
  switch (tensor.packing) {
  case PackedTensor::Packing::codes16:
    assert(false && "codes are packed from an encoded matrix");
    return;
  case PackedTensor::Packing::panel16:
    return packMatrix(tensor, source.data(), chunk, out.data(), threads);
  case PackedTensor::Packing::scales16:
    std::fill(out.begin(), out.end(), std::byte{0});
    for (int64_t index = 0; index < tensor.expertCount(); ++index)
      packScales(tensor, source.data() + tensor.expertAt(index) * scaleBytes,
                 out.data() + index * (out.size() / tensor.expertCount()));
    return;
  case PackedTensor::Packing::vector16:
    std::fill(out.begin(), out.end(), std::byte{0});
    std::memcpy(out.data(), source.data(), source.size());
    return;
  case PackedTensor::Packing::rope:
    return makeRope(tensor, out.data());
  case PackedTensor::Packing::slots:
    return makeSlots(tensor, out.data());
  case PackedTensor::Packing::first16: {
    const std::vector<int32_t> first(lanes, static_cast<int32_t>(tensor.begin[0]));
    std::memcpy(out.data(), first.data(), out.size());
    return;
  }
  }
}
