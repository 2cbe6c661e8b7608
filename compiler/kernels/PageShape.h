// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where keys, values and visibility stand inside a cache page. Kernels address
// by it and the plan reports it.
#pragma once

#include "compiler/kernels/KernelSpec.h"

namespace grok::compiler {

/// One page holds `pageTokens` positions of every layer. Inside a layer:
///   keys   [kvHead][headDim][pageTokens]        kv elements, rope applied
///   values [kvHead][pageTokens][headDim padded] kv elements
///   keep   [pageTokens] float32                 1 = visible key, 0 = pad token
struct PageShape {
  int64_t keyOffset = 0, valueOffset = 0, keepOffset = 0; // bytes inside a layer
  int64_t layerBytes = 0, pageBytes = 0;

  static PageShape of(const KernelSpec &spec) {
    auto padded = [](int64_t value, int64_t to) { return (value + to - 1) / to * to; };
    int64_t element = spec.kvBf16 ? 2 : 4, slots = spec.kvHeads * spec.pageTokens;
    PageShape page;
    page.valueOffset = padded(slots * spec.headDim * element, 64);
    page.keepOffset =
        page.valueOffset + padded(slots * padded(spec.headDim, panelColumns) * element, 64);
    page.layerBytes = page.keepOffset + padded(spec.pageTokens * 4, 64);
    page.pageBytes = page.layerBytes * spec.layers;
    return page;
  }
};

} // namespace grok::compiler
