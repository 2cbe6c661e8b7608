// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/BlockSums.h"

namespace grok::compiler {

BlockSum::BlockSum(GpuBuilder &kernel) : partials(kernel.sharedMemory(4 * kernel.warps)) {}

Value BlockSum::of(GpuBuilder &kernel, Value value) const {
  Value ofWarp = kernel.warpSum(value);
  kernel.barrier(); // the last sum has been read
  kernel.when(kernel.equal(kernel.lane, kernel.index(0)),
              [&] { kernel.store(ofWarp, kernel.rowAddress(partials, kernel.warp, 4)); });
  kernel.barrier();
  Value total = kernel.load(kernel.f32, partials);
  for (int64_t warp = 1; warp < kernel.warps; ++warp)
    total = kernel.add(total, kernel.load(kernel.f32, kernel.offset(partials, 4 * warp)));
  return total;
}

} // namespace grok::compiler
