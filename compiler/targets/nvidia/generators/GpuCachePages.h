// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Addresses and elements inside the paged cache, for a thread.
#pragma once

#include "compiler/kernels/PageShape.h"
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

namespace grok::compiler {

/// As CachePages of the CPU kernels, with scalars.
class GpuCachePages {
public:
  /// `cache`: the launch operand, the layer's part of page 0.
  GpuCachePages(GpuBuilder &kernel, Value cache)
      : kernel(kernel), cache(cache), shape(PageShape::of(kernel.spec)) {}

  int64_t elementBytes() const { return bytesOf(kernel.spec.kv); }
  /// Whether elements are codes that keyScale() and valueScale() multiply.
  bool hasScales() const { return hasCodes(kernel.spec.kv); }

  /// The page of a row's sequence that holds `position`.
  Value pageOf(Value row, Value position) const;
  Value slotOf(Value position) const { return kernel.remainder(position, kernel.spec.pageTokens); }

  Value key(Value page, Value head, Value dimension, Value slot) const;
  Value value(Value page, Value head, Value slot, Value dimension) const;
  /// The float32 scale of a position; the next slot's follows.
  Value keyScale(Value page, Value head, Value slot) const;
  Value valueScale(Value page, Value head, Value slot) const;
  /// Visibility of `slot`: 1 or 0 as float32.
  Value keep(Value page, Value slot) const;

  /// A float32, rounded to an element; or the word of a code.
  void store(Value value, Value address) const;

private:
  Value scaleAt(Value page, Value head, Value slot, int64_t offset) const;

  GpuBuilder &kernel;
  Value cache;
  PageShape shape;
};

} // namespace grok::compiler
