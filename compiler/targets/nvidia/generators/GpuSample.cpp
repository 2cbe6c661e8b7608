// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// sample: a token of each row of logits, drawn as runtime/sampler does, of which this
// has the bits (docs/numerics.md, "Sampling"). Operands: logits, float32 [logit rows,
// out]; tokens, int32 [logit rows], ~id of the first logit that is not finite if any.
//
// Blocks go through all tiles several times, and meet in between: largest logit; for rows
// with a nucleus three times the weights by ten bits of theirs; sums of the weights that
// are kept; the token. Steps that nobody needs are left out. Sums are of integers, so
// their order does not matter.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "compiler/targets/nvidia/generators/SampleMemory.h"
#include "compiler/targets/nvidia/generators/SampleNucleus.h"

namespace grok::compiler::gpu_kernels {

namespace {

class Sampling {
public:
  explicit Sampling(GpuBuilder &kernel)
      : kernel(kernel), tiles(kernel), nucleus(kernel, tiles),
        kept(kernel.scratchMemory(kernel.spec.maxRows * tiles.chunksOfRow() * 8)),
        leasts(kernel.scratchMemory(kernel.spec.maxRows * 4)) {}
  void emit();

private:
  Value mostKind();
  void sumKept();
  void drawTokens();
  void drawToken(const SampleTile &tile, Value top);
  void storeToken(const SampleTile &tile, Value token) {
    kernel.store(token, kernel.rowAddress(kernel.operand(1), tile.row, 4));
  }

  GpuBuilder &kernel;
  SampleTiles tiles;
  SampleNucleus nucleus;
  Value kept, leasts; // numbers, of each tile; of each row bits of its least weight
};

} // namespace

// How much the rows of the step ask for.
Value Sampling::mostKind() {
  Value own = kernel.loop(kernel.thread, kernel.logitRows, kernel.threads, {kernel.index(0)},
                          [&](Value row, ValueRange carried) -> Values {
                            Value draw = kernel.rowAddress(kernel.draws, row, sizeof(GrokDraw));
                            Value kind = kernel.toIndex(kernel.load(kernel.i32, draw));
                            return {kernel.select(kernel.less(carried[0], kind), kind, carried[0])};
                          })[0];
  return kernel.narrow(tiles.block.greatest(own), kernel.i32);
}

void Sampling::sumKept() {
  tiles.forAll([&](const SampleTile &tile) {
    kernel.when(tiles.isAbove(tile.kind, grokDrawTop), [&] {
      Value top = tiles.top(tile);
      kernel.when(tiles.isFinite(top), [&] {
        Value least = kernel.choose(
            tiles.isKind(tile.kind, grokDrawNucleus), [&] { return nucleus.least(tile); },
            [&] { return kernel.word(0); });
        Value own = kernel.index(0);
        for (Value number : tiles.keptNumbers(tile, top, least))
          own = kernel.add(own, number);
        own = tiles.block.sum(own);
        kernel.when(tiles.isFirstThread(), [&] { kernel.store(own, tiles.ofTile(kept, tile)); });
        kernel.when(tiles.isFirstOfRow(tile),
                    [&] { kernel.store(least, kernel.rowAddress(leasts, tile.row, 4)); });
      });
    });
  });
}

void Sampling::drawTokens() {
  tiles.forAll([&](const SampleTile &tile) {
    Value top = tiles.top(tile);
    Value draws = kernel.both(tiles.isAbove(tile.kind, grokDrawTop), tiles.isFinite(top));
    kernel.when(
        draws, [&] { drawToken(tile, top); },
        [&] {
          Value id = tiles.idOf(top), wrong = kernel.bitXor(id, kernel.word(-1));
          kernel.when(tiles.isFirstOfRow(tile),
                      [&] { storeToken(tile, kernel.select(tiles.isFinite(top), id, wrong)); });
        });
  });
}

void Sampling::drawToken(const SampleTile &tile, Value top) {
  Value all = tiles.sum(kept, tile), before = tiles.sumBefore(kept, tile);
  Value random = kernel.load(kernel.i64, kernel.offset(tile.draw, offsetof(GrokDraw, random)));
  Value target = kernel.highProduct(all, random);
  Value own = kernel.load(kernel.i64, tiles.ofTile(kept, tile));
  kernel.when(tiles.isBetween(before, target, kernel.add(before, own)), [&] {
    Value least = kernel.load(kernel.i32, kernel.rowAddress(leasts, tile.row, 4));
    Values numbers = tiles.keptNumbers(tile, top, least);
    Value ownSum = kernel.index(0);
    for (Value number : numbers)
      ownSum = kernel.add(ownSum, number);
    Value sum = kernel.add(before, tiles.block.sumBefore(ownSum).first);
    for (size_t i = 0; i < numbers.size(); ++i) {
      Value with = kernel.add(sum, numbers[i]);
      Value id = kernel.add(tile.first, static_cast<int64_t>(i));
      kernel.when(tiles.isBetween(sum, target, with), [&] { storeToken(tile, kernel.toWord(id)); });
      sum = with;
    }
  });
}

void Sampling::emit() {
  Value most = mostKind();
  tiles.findTops([&](const SampleTile &tile) { nucleus.clear(tile); });
  tiles.block.meet();
  kernel.when(tiles.isKind(most, grokDrawNucleus), [&] { nucleus.find(); });
  kernel.when(tiles.isAbove(most, grokDrawTop), [&] {
    sumKept();
    tiles.block.meet();
  });
  drawTokens();
}

void emitSample(GpuBuilder &kernel) {
  kernel.holdBlocks(2); // all of them, and no spilled registers
  kernel.roundProducts();
  Sampling(kernel).emit();
  assert(kernel.shape().scratchBytes <= sampleScratchBytes(kernel.spec.vocab, kernel.spec.maxRows));
}

} // namespace grok::compiler::gpu_kernels
