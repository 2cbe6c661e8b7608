// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/CachePages.h"

#include "compiler/kernels/CacheCodes.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

Value CachePages::pageOf(Value row, Value position) {
  Value sequence = kernel.entry(kernel.sequences, row);
  Value table = kernel.mul(sequence, kernel.pageTableStride);
  Value index = kernel.quotient(position, kernel.spec.pageTokens);
  Value page = kernel.entry(kernel.pageTable, kernel.add(table, index));
  return kernel.rowAddress(cache, page, shape.pageBytes);
}

Value CachePages::key(Value page, Value head, Value slot) {
  const KernelSpec &spec = kernel.spec;
  Value element = kernel.add(kernel.mul(head, spec.headDim * spec.pageTokens), slot);
  return kernel.rowAddress(page, element, elementBytes());
}

Value CachePages::value(Value page, Value head, Value slot) {
  Value row = kernel.add(kernel.mul(head, kernel.spec.pageTokens), slot);
  return kernel.offset(kernel.rowAddress(page, row, valueRowBytes()), shape.layer.valueOffset);
}

Value CachePages::scaleAt(Value page, Value head, Value slot, int64_t offset) {
  Value element = kernel.add(kernel.mul(head, kernel.spec.pageTokens), slot);
  return kernel.offset(kernel.rowAddress(page, element, 4), offset);
}

Value CachePages::keyScale(Value page, Value head, Value slot) {
  return scaleAt(page, head, slot, shape.layer.keyScaleOffset);
}

Value CachePages::valueScale(Value page, Value head, Value slot) {
  return scaleAt(page, head, slot, shape.layer.valueScaleOffset);
}

Value CachePages::keep(Value page, Value slot) {
  return kernel.offset(kernel.rowAddress(page, slot, 4), shape.layer.keepOffset);
}

Value CachePages::load(Value address) {
  if (!hasScales())
    return loadCacheVector(kernel, kernel.spec.kv == CacheElement::bf16, address);
  Value codes = kernel.load(kernel.vectorOf(kernel.i8, panelColumns), address);
  return valueOfCode(kernel, kernel.spec.kv, kernel.widen(codes, kernel.i32));
}

void CachePages::store(Value value, Value address) {
  if (!hasScales())
    return storeCacheElement(kernel, kernel.spec.kv == CacheElement::bf16, value, address);
  kernel.store(kernel.narrow(kernel.bitsOf(value), kernel.i8), address);
}

Value CachePages::quantize(Value values, int64_t count) {
  auto at = [&](Value first) { return kernel.rowAddress(values, first, 4); };
  Value zero = kernel.index(0), end = kernel.index(count);
  Values top = kernel.loop(zero, end, panelColumns, {kernel.splat(0.0f)},
                           [&](Value first, ValueRange carried) -> Values {
                             Value vector = kernel.load(kernel.floats, at(first), 64);
                             Value bits = kernel.bitsOf(vector);
                             Value size =
                                 kernel.bitAnd(bits, kernel.constantLike(bits, 0x7fffffff));
                             return {kernel.maximum(kernel.fromBits(size), carried[0])};
                           });
  Value largest = maximumOfLanes(kernel, top[0]),
        limit = kernel.number(largestCode(kernel.spec.kv));
  Value inverse = kernel.select(kernel.less(kernel.number(0.0f), largest),
                                kernel.div(limit, largest), kernel.number(0.0f));
  Value factor = kernel.broadcast(inverse);
  kernel.loop(zero, end, panelColumns, [&](Value first) {
    Value scaled = kernel.mul(kernel.load(kernel.floats, at(first), 64), factor);
    kernel.store(codeOf(kernel, kernel.spec.kv, scaled), at(first), 64);
  });
  return kernel.div(largest, limit);
}

} // namespace grok::compiler
