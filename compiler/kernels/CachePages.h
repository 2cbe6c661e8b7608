// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Addresses inside the paged cache, for the kernels that read or write it.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/PageShape.h"

namespace grok::compiler {

class CachePages {
public:
  /// `cache`: the launch operand, the layer's part of page 0.
  CachePages(KernelBuilder &kernel, Value cache)
      : kernel(kernel), cache(cache), shape(PageShape::of(kernel.spec)) {}

  int64_t elementBytes() const { return bytesOf(kernel.spec.kv); }

  /// The page of a row's sequence that holds `position`.
  Value pageOf(Value row, Value position) {
    Value sequence = kernel.entry(kernel.sequences, row);
    Value table = kernel.mul(sequence, kernel.pageTableStride);
    Value index = kernel.quotient(position, kernel.spec.pageTokens);
    Value page = kernel.entry(kernel.pageTable, kernel.add(table, index));
    return kernel.rowAddress(cache, page, shape.pageBytes);
  }
  Value slotOf(Value position) { return kernel.remainder(position, kernel.spec.pageTokens); }

  /// Element (head, dimension 0, slot); dimensions are pageTokens apart.
  Value key(Value page, Value head, Value slot) {
    const KernelSpec &spec = kernel.spec;
    Value element = kernel.add(kernel.mul(head, spec.headDim * spec.pageTokens), slot);
    return kernel.offset(kernel.rowAddress(page, element, elementBytes()), shape.keyOffset);
  }
  /// Row (head, slot); rows are valueRowBytes apart.
  Value value(Value page, Value head, Value slot) {
    Value row = kernel.add(kernel.mul(head, kernel.spec.pageTokens), slot);
    return kernel.offset(kernel.rowAddress(page, row, valueRowBytes()), shape.valueOffset);
  }
  int64_t valueRowBytes() const { return paddedColumns(kernel.spec.headDim) * elementBytes(); }

  /// Visibility of `slot`: 1 or 0 as float32.
  Value keep(Value page, Value slot) {
    return kernel.offset(kernel.rowAddress(page, slot, 4), shape.keepOffset);
  }

private:
  KernelBuilder &kernel;
  Value cache;
  PageShape shape;
};

} // namespace grok::compiler
