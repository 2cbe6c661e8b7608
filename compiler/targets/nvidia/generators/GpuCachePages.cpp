// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/GpuCachePages.h"

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

Value GpuCachePages::pageOf(Value row, Value position) const {
  Value sequence = kernel.entry(kernel.sequences, row);
  Value table = kernel.mul(sequence, kernel.pageTableStride);
  Value index = kernel.quotient(position, kernel.spec.pageTokens);
  Value page = kernel.entry(kernel.pageTable, kernel.add(table, index));
  return kernel.rowAddress(cache, page, shape.pageBytes);
}

Value GpuCachePages::key(Value page, Value head, Value dimension, Value slot) const {
  Value row = kernel.add(kernel.mul(head, kernel.spec.headDim), dimension);
  Value element = kernel.add(kernel.mul(row, kernel.spec.pageTokens), slot);
  return kernel.rowAddress(page, element, elementBytes());
}

Value GpuCachePages::value(Value page, Value head, Value slot, Value dimension) const {
  Value row = kernel.add(kernel.mul(head, kernel.spec.pageTokens), slot);
  Value element = kernel.add(kernel.mul(row, paddedColumns(kernel.spec.headDim)), dimension);
  return kernel.offset(kernel.rowAddress(page, element, elementBytes()), shape.layer.valueOffset);
}

Value GpuCachePages::scaleAt(Value page, Value head, Value slot, int64_t offset) const {
  Value element = kernel.add(kernel.mul(head, kernel.spec.pageTokens), slot);
  return kernel.offset(kernel.rowAddress(page, element, 4), offset);
}

Value GpuCachePages::keyScale(Value page, Value head, Value slot) const {
  return scaleAt(page, head, slot, shape.layer.keyScaleOffset);
}

Value GpuCachePages::valueScale(Value page, Value head, Value slot) const {
  return scaleAt(page, head, slot, shape.layer.valueScaleOffset);
}

Value GpuCachePages::keep(Value page, Value slot) const {
  return kernel.offset(kernel.rowAddress(page, slot, 4), shape.layer.keepOffset);
}

void GpuCachePages::store(Value value, Value address) const {
  if (hasScales())
    return kernel.store(kernel.narrow(kernel.bitsOf(value), kernel.i8), address);
  storeCacheElement(kernel, kernel.spec.kv == CacheElement::bf16, value, address);
}

} // namespace grok::compiler
