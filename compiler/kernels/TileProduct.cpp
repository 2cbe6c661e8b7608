// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tile registers are named by the generator: four of sums, two of inputs and
// two of weights. LLVM's own allocation of tiles is not involved.
#include "compiler/kernels/TileProduct.h"

#include "compiler/kernels/ByteDot.h"

namespace grok::compiler {

static constexpr int64_t lineBytes = 64;
static constexpr int64_t configurationBytes = 64;
static constexpr int64_t firstInputs = 4, firstWeights = 6; // tile numbers

TileProduct::TileProduct(KernelBuilder &kernel)
    : kernel(kernel), configuration(kernel.scratch(configurationBytes)) {}

// Palette 1, all eight tiles of 16 rows of 64 bytes.
void TileProduct::configure() {
  if (kernel.tiles.expandsProducts)
    return;
  for (int64_t at = 0; at < configurationBytes; at += 4) {
    int32_t word = 0;
    if (at == 0)
      word = 1;
    else if (at >= 16 && at < 32) // bytes of a row, int16 per tile
      word = 0x00400040;
    else if (at >= 48 && at < 56) // rows, int8 per tile
      word = 0x10101010;
    kernel.store(kernel.word(word), kernel.offset(configuration, at));
  }
  kernel.intrinsic("x86.ldtilecfg", {configuration});
}

void TileProduct::release() {
  if (!kernel.tiles.expandsProducts)
    kernel.intrinsic("x86.tilerelease", {});
}

Value TileProduct::number(int64_t tile) {
  return kernel.narrow(kernel.word(static_cast<int32_t>(tile)), kernel.i8);
}

void TileProduct::multiply(const Operands &operands, Value sums) {
  if (kernel.tiles.expandsProducts)
    return multiplyPlainly(operands, sums);
  const auto panels = static_cast<int64_t>(operands.weights.size());
  auto tileOf = [&](int64_t rowTile, int64_t panel) {
    return number(rowTile * mostPanels + panel);
  };
  for (int64_t i = 0; i < operands.rowTiles; ++i)
    for (int64_t j = 0; j < panels; ++j)
      kernel.intrinsic("x86.tilezero", {tileOf(i, j)});
  Value inputStride = kernel.index(operands.inputStride), lineStride = kernel.index(lineBytes);
  for (int64_t k = 0; k < operands.length; k += inputs) {
    for (int64_t j = 0; j < panels; ++j)
      kernel.intrinsic("x86.tileloadd64",
                       {number(firstWeights + j),
                        kernel.offset(operands.weights[j], k * panelColumns), lineStride});
    for (int64_t i = 0; i < operands.rowTiles; ++i) {
      Value from = kernel.offset(operands.inputs, i * rows * operands.inputStride + k);
      kernel.intrinsic("x86.tileloadd64", {number(firstInputs + i), from, inputStride});
      for (int64_t j = 0; j < panels; ++j)
        kernel.intrinsic("x86.tdpbssd",
                         {tileOf(i, j), number(firstInputs + i), number(firstWeights + j)});
    }
  }
  for (int64_t i = 0; i < operands.rowTiles; ++i)
    for (int64_t j = 0; j < panels; ++j)
      kernel.intrinsic("x86.tilestored64",
                       {tileOf(i, j), kernel.offset(sums, (i * rows * panels + j) * lineBytes),
                        kernel.index(panels * lineBytes)});
}

void TileProduct::multiplyPlainly(const Operands &operands, Value sums) {
  const auto panels = static_cast<int64_t>(operands.weights.size());
  kernel.loop(kernel.index(0), kernel.index(operands.rowTiles * rows), 1, [&](Value row) {
    Value from = kernel.rowAddress(operands.inputs, row, operands.inputStride);
    Value to = kernel.rowAddress(sums, row, panels * lineBytes);
    auto body = [&](Value k, ValueRange carried) {
      Values next;
      Value word = kernel.broadcast(kernel.load(kernel.i32, kernel.offset(from, k)));
      for (int64_t j = 0; j < panels; ++j) {
        Value line = kernel.rowAddress(operands.weights[j], k, panelColumns);
        next.push_back(plainDot(kernel, carried[j], kernel.load(kernel.words, line), word,
                                /*isUnsigned=*/false));
      }
      return next;
    };
    Values results = kernel.loop(kernel.index(0), kernel.index(operands.length), 4,
                                 Values(panels, kernel.splat(0)), body);
    for (int64_t j = 0; j < panels; ++j)
      kernel.store(results[j], kernel.offset(to, j * lineBytes));
  });
}

} // namespace grok::compiler
