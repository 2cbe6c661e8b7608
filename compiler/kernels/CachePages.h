// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Addresses and elements inside the paged cache, for the kernels that read or
// write it.
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
  /// Whether elements are codes that keyScale() and valueScale() multiply.
  bool hasScales() const { return hasCodes(kernel.spec.kv); }

  /// The page of a row's sequence that holds `position`.
  Value pageOf(Value row, Value position);
  Value slotOf(Value position) { return kernel.remainder(position, kernel.spec.pageTokens); }

  /// Element (head, dimension 0, slot); dimensions are pageTokens apart.
  Value key(Value page, Value head, Value slot);
  /// Row (head, slot); rows are valueRowBytes apart.
  Value value(Value page, Value head, Value slot);
  int64_t valueRowBytes() const { return paddedColumns(kernel.spec.headDim) * elementBytes(); }

  /// The float32 scale of a position; the next slot's follows.
  Value keyScale(Value page, Value head, Value slot);
  Value valueScale(Value page, Value head, Value slot);

  /// Visibility of `slot`: 1 or 0 as float32.
  Value keep(Value page, Value slot);

  /// 16 elements as float32; codes without their scale.
  Value load(Value address);
  /// One or a vector of float32, rounded to an element; or of the words of quantize().
  void store(Value value, Value address);
  /// Turns `count` (a multiple of 16) float32 at `values` into codes, a word each,
  /// and returns their scale (docs/numerics.md).
  Value quantize(Value values, int64_t count);

private:
  Value scaleAt(Value page, Value head, Value slot, int64_t offset);

  KernelBuilder &kernel;
  Value cache;
  PageShape shape;
};

} // namespace grok::compiler
