// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/WgmmaProduct.h"

namespace grok::compiler {

static constexpr int64_t groupTileBytes = WgmmaWeights::tileBytes / 2; // of 64 columns

bool WgmmaProduct::fits(const KernelSpec &spec, const NvidiaChip &chip) {
  return chip.name == "sm_90a" && WarpgroupProduct::fits(spec);
}

// 80 rows are what registers hold beside the addresses of a simple tile, 64 beside those
// of others; with two digits, twice as many sums of a unit, 64 and 48. One digit after the
// other, onto the same sums, would need no more registers than one digit, but leave sums of
// 29 bits: to convert those, 16 a clock, takes as long as to multiply.
WarpgroupProduct::Form WgmmaProduct::formOf(const KernelSpec &spec) {
  if (spec.digits == 1 && isSimple(spec))
    return {.chunkRows = 80, .registers = 208, .registerLevels = 2, .rowsOfFour = 2};
  const bool isWide = spec.digits == 1 || isSimple(spec);
  return {.chunkRows = isWide ? 64 : 48, .registers = 192, .registerLevels = 2, .rowsOfFour = 2};
}

WgmmaProduct::WgmmaProduct(GpuBuilder &kernel, int64_t slots)
    : WarpgroupProduct(kernel, slots, formOf(kernel.spec)) {
  assert(memoryLevels <= 2);
  if (memoryLevels == 2)
    pending = kernel.sharedMemory(resultBytes());
}

// Warp w of the eight has panel w; sums as GpuBuilder::sumsOf gives them.
WarpgroupProduct::Place WgmmaProduct::placeOf(int64_t /*width*/) const {
  return {groupWarp, kernel.quotient(kernel.lane, 4),
          kernel.mul(kernel.remainder(kernel.lane, 4), 2)};
}

void WgmmaProduct::forUnitSums(const Stage &stage, Value /*unitNumber*/, int64_t width,
                               llvm::function_ref<void()> whenFull,
                               llvm::function_ref<void(int64_t, ValueRange)> body) {
  kernel.waitForPhase(stage.full, stage.parity);
  kernel.fenceProducts();
  Value group = kernel.quotient(groupWarp, groupWarps);
  Value a = kernel.matrixDescriptor(kernel.rowAddress(stage.weights, group, groupTileBytes));
  Value b = kernel.matrixDescriptor(stage.codes);
  Value products;
  for (int64_t step = 0; step < unit / stepInputs; ++step) {
    const int64_t start = step * stepInputs / 16; // descriptors count 16 bytes
    products = kernel.multiplyBytesAsync(kernel.add(a, start), kernel.add(b, start), products,
                                         digits * width);
  }
  kernel.commitProducts();
  kernel.waitForProducts();
  Values unitSums = kernel.sumsOf(products, digits * width);
  whenFull();
  for (int64_t i = 0; i < width / 2; ++i) {
    Values ofDigits;
    for (int64_t digit = 0; digit < digits; ++digit)
      ofDigits.push_back(unitSums[digit * width / 2 + i]);
    body(i, ofDigits);
  }
}

void WgmmaProduct::keepPending(ValueRange sums, int64_t /*level*/) {
  forSums(static_cast<int64_t>(sums.size()), pending,
          [&](int64_t i, Value to) { kernel.store(sums[i], to); });
}

void WgmmaProduct::addPending(Values &sums, int64_t /*level*/) {
  forSums(static_cast<int64_t>(sums.size()), pending, [&](int64_t i, Value from) {
    sums[i] = kernel.add(kernel.load(kernel.f32, from), sums[i]);
  });
}

} // namespace grok::compiler
