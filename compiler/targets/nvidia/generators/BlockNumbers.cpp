// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/BlockNumbers.h"

namespace grok::compiler {

BlockNumbers::BlockNumbers(GpuBuilder &kernel)
    : kernel(kernel), ofWarps(kernel.sharedMemory(kernel.warps * 8)),
      meeting(kernel.scratchMemory(8)) {}

Value BlockNumbers::shuffled(Value number, llvm::function_ref<Value(Value)> shuffle) {
  Value low = shuffle(kernel.narrow(number, kernel.i32));
  Value high = shuffle(kernel.narrow(kernel.shiftRight(number, 32), kernel.i32));
  return kernel.bitOr(kernel.widenUnsigned(low, kernel.i64),
                      kernel.shiftLeft(kernel.widenUnsigned(high, kernel.i64), 32));
}

Value BlockNumbers::reduce(Value number, llvm::function_ref<Value(Value, Value)> combine) {
  for (int32_t mask = warpLanes / 2; mask > 0; mask /= 2)
    number = combine(number,
                     shuffled(number, [&](Value half) { return kernel.shuffleXor(half, mask); }));
  kernel.barrier(); // the numbers before have been read
  kernel.when(kernel.equal(kernel.lane, kernel.index(0)),
              [&] { kernel.store(number, kernel.rowAddress(ofWarps, kernel.warp, 8)); });
  kernel.barrier();
  Value result = kernel.load(kernel.i64, ofWarps);
  for (int64_t warp = 1; warp < kernel.warps; ++warp)
    result = combine(result, kernel.load(kernel.i64, kernel.offset(ofWarps, warp * 8)));
  return result;
}

Value BlockNumbers::sum(Value number) {
  return reduce(number, [&](Value a, Value b) { return kernel.add(a, b); });
}

Value BlockNumbers::greatest(Value number) {
  return reduce(number, [&](Value a, Value b) { return kernel.select(kernel.less(a, b), b, a); });
}

std::pair<Value, Value> BlockNumbers::sumBefore(Value number) {
  Value upToOwn = number;
  for (int32_t distance = 1; distance < warpLanes; distance *= 2) {
    Value isLow = kernel.less(kernel.lane, kernel.index(distance));
    Value source =
        kernel.select(isLow, kernel.lane32, kernel.sub(kernel.lane32, kernel.word(distance)));
    Value lower = shuffled(upToOwn, [&](Value half) { return kernel.shuffleFrom(half, source); });
    upToOwn = kernel.add(upToOwn, kernel.select(isLow, kernel.index(0), lower));
  }
  kernel.barrier(); // the numbers before have been read
  kernel.when(kernel.equal(kernel.lane, kernel.index(warpLanes - 1)),
              [&] { kernel.store(upToOwn, kernel.rowAddress(ofWarps, kernel.warp, 8)); });
  kernel.barrier();
  Value before = kernel.sub(upToOwn, number), all = kernel.index(0);
  for (int64_t warp = 0; warp < kernel.warps; ++warp) {
    Value ofWarp = kernel.load(kernel.i64, kernel.offset(ofWarps, warp * 8));
    Value isLower = kernel.less(kernel.index(warp), kernel.warp);
    before = kernel.add(before, kernel.select(isLower, ofWarp, kernel.index(0)));
    all = kernel.add(all, ofWarp);
  }
  return {before, all};
}

// The last block to come lets the others go on.
void BlockNumbers::meet() {
  kernel.launchCooperatively();
  Value generation = kernel.offset(meeting, 4);
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    Value before = kernel.fetchAdd(generation, kernel.word(0));
    Value others = kernel.fetchAdd(meeting, kernel.word(1));
    Value isLast = kernel.equal(kernel.toIndex(others), kernel.add(kernel.blocks, -1));
    kernel.when(
        isLast,
        [&] {
          kernel.store(kernel.word(0), meeting);
          kernel.fetchAdd(generation, kernel.word(1));
        },
        [&] {
          kernel.repeat({before}, [&](ValueRange) -> std::pair<Value, Values> {
            Value now = kernel.loadVolatile(kernel.i32, generation);
            return {kernel.equal(now, before), {now}};
          });
          kernel.fetchAdd(generation, kernel.word(0)); // reads after it see what others wrote
        });
  });
  kernel.barrier();
}

} // namespace grok::compiler
