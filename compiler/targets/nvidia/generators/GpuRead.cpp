// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// read: reads memory as the matrix kernels do, 16 bytes a lane, and does next to
// nothing with it: what the rate of no kernel can exceed. Tile = 64 KiB of operand
// 0, of whose words each warp leaves the exclusive or in operand 1, [tile][warp].
// Operand 2 is the number of tiles, int32.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

namespace grok::compiler::gpu_kernels {

static constexpr int64_t tileBytes = int64_t(1) << 16;
static constexpr int64_t loadBytes = 16, loadWords = 4;

void emitRead(GpuBuilder &kernel) {
  kernel.keepLoops();
  const int64_t blockBytes = kernel.threads * loadBytes;
  Value tiles = kernel.loadIndex(kernel.operand(2));
  kernel.forTiles(tiles, kernel.spec.maxRows, [&](Value tile) {
    Value from = kernel.rowAddress(kernel.rowAddress(kernel.operand(0), tile, tileBytes),
                                   kernel.thread, loadBytes);
    Values loaded; // all asked for before the first is needed
    for (int64_t at = 0; at < tileBytes; at += blockBytes)
      loaded.push_back(
          kernel.load(kernel.vectorOf(kernel.i32, loadWords), kernel.offset(from, at), loadBytes));
    Value sum = kernel.word(0);
    for (Value each : loaded)
      for (int64_t i = 0; i < loadWords; ++i)
        sum = kernel.bitXor(sum, kernel.extract(each, i));
    for (int32_t mask = warpLanes / 2; mask > 0; mask /= 2)
      sum = kernel.bitXor(sum, kernel.shuffleXor(sum, mask));
    kernel.when(kernel.equal(kernel.lane, kernel.index(0)), [&] {
      Value to = kernel.rowAddress(kernel.operand(1), tile, kernel.warps * 4);
      kernel.store(sum, kernel.rowAddress(to, kernel.warp, 4));
    });
  });
}

} // namespace grok::compiler::gpu_kernels
