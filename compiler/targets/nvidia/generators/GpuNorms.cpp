// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// rms_norm. Tile = row, a block each; padding lanes are zero and stay so.
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/BlockSums.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

namespace grok::compiler::gpu_kernels {

// 1 / sqrt(mean of squares + eps), in all threads.
static Value inverseRms(GpuBuilder &kernel, const BlockSum &sum, Value row) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  Value own = kernel.mul(kernel.thread, 4);
  Values chain = kernel.loop(own, kernel.index(stride), 4 * kernel.threads, {kernel.number(0.0f)},
                             [&](Value at, ValueRange carried) -> Values {
                               Value x = kernel.load(kernel.f32, kernel.offset(row, at));
                               return {kernel.multiplyAdd(x, x, carried[0])};
                             });
  Value mean =
      kernel.div(sum.of(kernel, chain[0]), kernel.number(static_cast<float>(kernel.spec.emb)));
  Value shifted = kernel.add(mean, kernel.number(static_cast<float>(kernel.spec.eps)));
  return kernel.div(kernel.number(1.0f), kernel.sqrt(shifted));
}

void emitRmsNorm(GpuBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  BlockSum sum(kernel);
  kernel.forTiles(kernel.rows, kernel.spec.maxRows, [&](Value number) {
    Value row = kernel.rowAddress(kernel.operand(0), number, stride);
    Value output = kernel.rowAddress(kernel.operand(2), number, stride);
    Value inverse = inverseRms(kernel, sum, row);
    kernel.loop(
        kernel.mul(kernel.thread, 4), kernel.index(stride), 4 * kernel.threads, [&](Value at) {
          Value x = kernel.load(kernel.f32, kernel.offset(row, at));
          Value scale = kernel.load(kernel.f32, kernel.offset(kernel.operand(1), at));
          kernel.store(kernel.mul(scale, kernel.mul(x, inverse)), kernel.offset(output, at));
        });
  });
}

} // namespace grok::compiler::gpu_kernels
