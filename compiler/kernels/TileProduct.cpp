// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tile registers are named by the generator: four of sums, two of inputs and
// two of weights. LLVM's own allocation of tiles is not involved.
#include "compiler/kernels/TileProduct.h"

#include "compiler/kernels/ByteDot.h"

namespace grok::compiler {

static constexpr int64_t lineBytes = 64;
static constexpr int64_t lines = 16; // of a tile of weights
static constexpr int64_t configurationBytes = 64;
static constexpr int64_t firstInputs = 4, firstWeights = 6, weightTiles = 2; // tile numbers
static constexpr int64_t unrolledSteps = 2;                                  // more are a loop

TileProduct::TileProduct(KernelBuilder &kernel, Elements elements, int64_t tileRows)
    : kernel(kernel), elements(elements), tileRows(tileRows),
      configuration(kernel.scratch(configurationBytes)) {}

// Palette 1, all eight tiles of 64 bytes a row: six of `tileRows` rows, then
// those of the weights.
void TileProduct::configure() {
  if (kernel.tiles.expandsProducts)
    return;
  const auto repeated = static_cast<int32_t>(tileRows * 0x01010101);
  for (int64_t at = 0; at < configurationBytes; at += 4) {
    int32_t word = 0;
    if (at == 0)
      word = 1;
    else if (at >= 16 && at < 32) // bytes of a row, int16 per tile
      word = 0x00400040;
    else if (at == 48) // rows, int8 per tile
      word = repeated;
    else if (at == 52)
      word = (repeated & 0xffff) | 0x10100000;
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

Value TileProduct::sumTile(const Operands &operands, int64_t rowTile, int64_t panel) {
  return number(rowTile * static_cast<int64_t>(operands.weights.size()) + panel);
}

void TileProduct::multiply(const Operands &operands, Value sums, int64_t sumStride) {
  if (kernel.tiles.expandsProducts)
    return multiplyPlainly(operands, sums, sumStride);
  const auto panels = static_cast<int64_t>(operands.weights.size());
  auto forSums = [&](llvm::function_ref<void(int64_t, int64_t)> body) {
    for (int64_t i = 0; i < operands.rowTiles; ++i)
      for (int64_t j = 0; j < panels; ++j)
        body(i, j);
  };
  forSums(
      [&](int64_t i, int64_t j) { kernel.intrinsic("x86.tilezero", {sumTile(operands, i, j)}); });
  if (operands.steps <= unrolledSteps)
    for (int64_t step = 0; step < operands.steps; ++step)
      multiplyStep(operands, kernel.index(step));
  else
    kernel.loop(kernel.index(0), kernel.index(operands.steps), 1,
                [&](Value step) { multiplyStep(operands, step); });
  forSums([&](int64_t i, int64_t j) {
    Value to = kernel.offset(sums, i * tileRows * sumStride + j * lineBytes);
    kernel.intrinsic("x86.tilestored64", {sumTile(operands, i, j), to, kernel.index(sumStride)});
  });
}

// All sums of one tile along k. Two tiles of weights take turns.
void TileProduct::multiplyStep(const Operands &operands, Value step) {
  const auto panels = static_cast<int64_t>(operands.weights.size());
  const char *product = elements == Elements::halves ? "x86.tdpbf16ps" : "x86.tdpbssd";
  Value from = kernel.rowAddress(operands.inputs, step, operands.stepBytes);
  for (int64_t i = 0; i < operands.rowTiles; ++i)
    kernel.intrinsic("x86.tileloadd64",
                     {number(firstInputs + i), kernel.offset(from, i * operands.rowTileBytes),
                      kernel.index(operands.inputStride)});
  for (int64_t j = 0; j < panels; ++j) {
    Value weights = kernel.rowAddress(operands.weights[j], step, tileBytes);
    for (int64_t line = 0; line < lines && operands.prefetchBytes; ++line)
      kernel.prefetch(kernel.offset(weights, operands.prefetchBytes + line * lineBytes));
    Value tile = number(firstWeights + j % weightTiles);
    kernel.intrinsic("x86.tileloadd64", {tile, weights, kernel.index(lineBytes)});
    for (int64_t i = 0; i < operands.rowTiles; ++i)
      kernel.intrinsic(product, {sumTile(operands, i, j), number(firstInputs + i), tile});
  }
}

// ---- in plain arithmetic

void TileProduct::multiplyPlainly(const Operands &operands, Value sums, int64_t sumStride) {
  const bool isHalves = elements == Elements::halves;
  Values zeros(operands.weights.size(), isHalves ? kernel.splat(0.0f) : kernel.splat(0));
  for (int64_t i = 0; i < operands.rowTiles; ++i) {
    Value tile = kernel.offset(operands.inputs, i * operands.rowTileBytes);
    Value target = kernel.offset(sums, i * tileRows * sumStride);
    kernel.loop(kernel.index(0), kernel.index(tileRows), 1, [&](Value row) {
      Value from = kernel.rowAddress(tile, row, operands.inputStride);
      Values results = kernel.loop(kernel.index(0), kernel.index(operands.steps), 1, zeros,
                                   [&](Value step, ValueRange carried) {
                                     return addPlainly(operands, from, step, carried);
                                   });
      Value to = kernel.rowAddress(target, row, sumStride);
      for (size_t j = 0; j < results.size(); ++j)
        kernel.store(results[j], kernel.offset(to, static_cast<int64_t>(j) * lineBytes));
    });
  }
}

// What one tile along k adds to a row's sums, panel by panel.
Values TileProduct::addPlainly(const Operands &operands, Value from, Value step, ValueRange sums) {
  Values weights;
  for (Value panel : operands.weights)
    weights.push_back(kernel.rowAddress(panel, step, tileBytes));
  Value inputs = kernel.rowAddress(from, step, operands.stepBytes);
  if (elements == Elements::halves)
    return addHalvesPlainly(inputs, weights, sums);
  return kernel.loop(
      kernel.index(0), kernel.index(lines), 1, sums, [&](Value line, ValueRange carried) {
        Value word = kernel.load(kernel.i32, kernel.rowAddress(inputs, line, 4));
        Value repeated = kernel.broadcast(word);
        Values next;
        for (size_t j = 0; j < weights.size(); ++j) {
          Value from = kernel.rowAddress(weights[j], line, lineBytes);
          next.push_back(plainDot(kernel, carried[j], kernel.load(kernel.words, from), repeated,
                                  /*isUnsigned=*/false));
        }
        return next;
      });
}

// As tdpbf16ps: a chain over the even inputs and one over the odd ones, both
// from 0, then their sum. Only denormals, which it flushes to 0, differ.
Values TileProduct::addHalvesPlainly(Value from, const Values &weights, ValueRange sums) {
  auto open = [&](Value word) {
    Value high = kernel.bitAnd(word, kernel.constantLike(word, -65536.0));
    return std::pair(kernel.fromBits(kernel.shiftLeft(word, 16)), kernel.fromBits(high));
  };
  const size_t panels = weights.size();
  Values chains =
      kernel.loop(kernel.index(0), kernel.index(lines), 1, Values(2 * panels, kernel.splat(0.0f)),
                  [&](Value line, ValueRange carried) {
                    Value word = kernel.load(kernel.i32, kernel.rowAddress(from, line, 4));
                    auto [even, odd] = open(kernel.broadcast(word));
                    Values next(carried);
                    for (size_t j = 0; j < panels; ++j) {
                      Value address = kernel.rowAddress(weights[j], line, lineBytes);
                      auto [low, high] = open(kernel.load(kernel.words, address));
                      next[2 * j] = kernel.multiplyAdd(low, even, next[2 * j]);
                      next[2 * j + 1] = kernel.multiplyAdd(high, odd, next[2 * j + 1]);
                    }
                    return next;
                  });
  Values results;
  for (size_t j = 0; j < panels; ++j)
    results.push_back(kernel.add(sums[j], kernel.add(chains[2 * j], chains[2 * j + 1])));
  return results;
}

} // namespace grok::compiler
