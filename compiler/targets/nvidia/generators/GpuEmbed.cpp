// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// embed: one column of the packed table per token. Tile = a row's lines (kPack
// inputs each) that a block takes at a time, a thread each.
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

namespace grok::compiler::gpu_kernels {

using Element = WeightFormat::Element;

// The float32 values of `kPack` consecutive k of one column.
static Values readColumnPiece(GpuBuilder &kernel, Value address) {
  const WeightFormat &format = kernel.spec.weight;
  const int64_t kPack = format.kPack(), bits = format.bits();
  if (format.element == Element::f32)
    return {kernel.load(kernel.f32, address)};
  Type narrow = bits == 8 ? kernel.i8 : kernel.i16;
  Value packed = kPack == 1 ? kernel.widenUnsigned(kernel.load(narrow, address), kernel.i32)
                            : kernel.load(kernel.i32, address);
  Values values;
  for (int64_t i = 0; i < kPack; ++i) { // each in turn to the top of the word
    Value top = kernel.shiftLeft(packed, static_cast<int32_t>(32 - bits * (i + 1)));
    values.push_back(format.element == Element::bf16
                         ? kernel.fromBits(kernel.bitAnd(top, kernel.word(-65536)))
                         : kernel.toFloat(kernel.shiftRightSigned(top, 24)));
  }
  return values;
}

static Value scaleOf(GpuBuilder &kernel, Value token) {
  Value half = kernel.load(kernel.i16, kernel.rowAddress(kernel.operand(1), token, 2));
  return kernel.fromBits(kernel.shiftLeft(kernel.widenUnsigned(half, kernel.i32), 16));
}

// Line `line` of the column of `token`, to `to`.
static void emitLine(GpuBuilder &kernel, Value token, Value line, Value to) {
  const KernelSpec &spec = kernel.spec;
  const int64_t kPack = spec.weight.kPack(), entryBytes = kPack * spec.weight.bits() / 8;
  Value panel = kernel.rowAddress(kernel.operand(0), kernel.quotient(token, panelColumns),
                                  spec.weight.panelBytes(spec.emb));
  Value column = kernel.rowAddress(panel, kernel.remainder(token, panelColumns), entryBytes);
  Values values =
      readColumnPiece(kernel, kernel.rowAddress(column, line, panelColumns * entryBytes));
  Value multiplier = kernel.number(static_cast<float>(spec.multiplier));
  for (int64_t i = 0; i < kPack; ++i) {
    Value value = spec.weight.isInteger() ? kernel.mul(values[i], scaleOf(kernel, token))
                                          : values[i]; // exact
    kernel.store(kernel.mul(value, multiplier), kernel.offset(to, i * 4));
  }
}

static void emitZeros(GpuBuilder &kernel, Value to) {
  for (int64_t i = 0; i < kernel.spec.weight.kPack(); ++i)
    kernel.store(kernel.number(0.0f), kernel.offset(to, i * 4));
}

void emitEmbed(GpuBuilder &kernel) {
  const KernelSpec &spec = kernel.spec;
  const int64_t kPack = spec.weight.kPack(), lines = spec.emb / kPack;
  const int64_t perRow = (lines + kernel.threads - 1) / kernel.threads;
  kernel.forTiles(kernel.mul(kernel.rows, perRow), spec.maxRows * perRow, [&](Value tile) {
    Value row = kernel.quotient(tile, perRow), part = kernel.remainder(tile, perRow);
    Value line = kernel.add(kernel.mul(part, kernel.threads), kernel.thread);
    Value token = kernel.entry(kernel.tokens, row);
    Value output = kernel.rowAddress(kernel.operand(2), row, rowBytes(spec.emb));
    Value to = kernel.rowAddress(output, line, kPack * 4);
    kernel.when(kernel.less(line, kernel.index(lines)), [&] {
      if (!spec.localTokens)
        return emitLine(kernel, token, line, to);
      // Tokens of other ranks' parts of the table: zeros, to be summed away.
      Value local = kernel.sub(token, kernel.loadIndex(kernel.operand(3)));
      Value isHere = kernel.both(kernel.less(kernel.index(-1), local),
                                 kernel.less(local, kernel.index(spec.vocab)));
      kernel.when(
          isHere, [&] { emitLine(kernel, local, line, to); }, [&] { emitZeros(kernel, to); });
    });
    const int64_t pads = paddedColumns(spec.emb) - spec.emb;
    if (pads == 0)
      return;
    Value isPad = kernel.both(kernel.equal(part, kernel.index(0)),
                              kernel.less(kernel.thread, kernel.index(pads)));
    kernel.when(isPad, [&] {
      Value pad = kernel.offset(kernel.rowAddress(output, kernel.thread, 4), spec.emb * 4);
      kernel.store(kernel.number(0.0f), pad);
    });
  });
}

} // namespace grok::compiler::gpu_kernels
