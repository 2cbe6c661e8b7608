// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// embed: one column of the packed table per token. Tile = row.
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

// The float32 values of `kPack` consecutive k of one column.
static Values readColumnPiece(KernelBuilder &kernel, Value address) {
  const WeightFormat &format = kernel.spec.weight;
  if (format.element == WeightFormat::Element::f32)
    return {kernel.load(kernel.f32, address)};
  if (format.element == WeightFormat::Element::bf16 && format.kPack() == 1) {
    Value half = kernel.widenUnsigned(kernel.load(kernel.i16, address), kernel.i32);
    return {kernel.fromBits(kernel.shiftLeft(half, 16))};
  }
  if (format.element == WeightFormat::Element::i8) {
    Values values;
    for (int64_t i = 0; i < format.kPack(); ++i)
      values.push_back(kernel.toFloat(
          kernel.widen(kernel.load(kernel.i8, kernel.offset(address, i)), kernel.i32)));
    return values;
  }
  Value pair = kernel.load(kernel.i32, address);
  return {kernel.fromBits(kernel.shiftLeft(pair, 16)),
          kernel.fromBits(kernel.bitAnd(pair, kernel.constantLike(pair, -65536.0)))};
}

static Value scaleOf(KernelBuilder &kernel, Value token) {
  Value half = kernel.load(kernel.i16, kernel.rowAddress(kernel.operand(1), token, 2));
  return kernel.fromBits(kernel.shiftLeft(kernel.widenUnsigned(half, kernel.i32), 16));
}

// One row from the column of `token`.
static void emitLookup(KernelBuilder &kernel, Value token, Value output) {
  const KernelSpec &spec = kernel.spec;
  const int64_t kPack = spec.weight.kPack(), elementBytes = spec.weight.bits() / 8;
  const int64_t lineBytes = panelColumns * kPack * elementBytes;
  const int64_t panelBytes = spec.weight.panelBytes(spec.emb);
  const bool isScaled = spec.weight.isInteger(); // one scale per token
  Value multiplier = kernel.number(static_cast<float>(spec.multiplier));
  Value panel =
      kernel.rowAddress(kernel.operand(0), kernel.quotient(token, panelColumns), panelBytes);
  Value column =
      kernel.rowAddress(panel, kernel.remainder(token, panelColumns), kPack * elementBytes);
  Value scale = isScaled ? scaleOf(kernel, token) : Value();
  kernel.loop(kernel.index(0), kernel.index(spec.emb / kPack), 1, [&](Value line) {
    Values values = readColumnPiece(kernel, kernel.rowAddress(column, line, lineBytes));
    Value to = kernel.rowAddress(output, line, kPack * 4);
    for (int64_t i = 0; i < kPack; ++i) {
      Value value = isScaled ? kernel.mul(values[i], scale) : values[i]; // exact
      value = roundActivation(kernel, spec.numerics, value);
      value = roundActivation(kernel, spec.numerics, kernel.mul(value, multiplier));
      kernel.store(value, kernel.offset(to, i * 4));
    }
  });
  for (int64_t pad = spec.emb; pad < paddedColumns(spec.emb); ++pad)
    kernel.store(kernel.number(0.0f), kernel.offset(output, pad * 4));
}

void emitEmbed(KernelBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t stride = rowBytes(spec.emb);
  kernel.forTiles([&](Value row) {
    Value token = kernel.entry(kernel.tokens, row);
    Value output = kernel.rowAddress(kernel.operand(2), row, stride);
    if (!spec.localTokens)
      return emitLookup(kernel, token, output);
    // Tokens of other ranks' parts of the table: zeros, to be summed away.
    Value local = kernel.sub(token, kernel.loadIndex(kernel.operand(3)));
    Value isHere = kernel.both(kernel.less(kernel.index(-1), local),
                               kernel.less(local, kernel.index(spec.vocab)));
    kernel.when(
        isHere, [&] { emitLookup(kernel, local, output); },
        [&] {
          kernel.loop(kernel.index(0), kernel.index(stride), panelColumns * 4, [&](Value at) {
            kernel.store(kernel.splat(0.0f), kernel.offset(output, at));
          });
        });
  });
}

} // namespace grok::compiler
