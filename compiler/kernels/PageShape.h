// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where keys, values and visibility stand inside a cache page. Kernels address
// by it and the plan reports it.
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "dialects/plan/PageShape.h"

namespace grok::compiler {

/// One page holds `pageTokens` positions of every layer. Inside a layer:
///   keys   [kvHead][headDim][pageTokens]        kv elements, rope applied
///   values [kvHead][pageTokens][headDim padded] kv elements
///   keep   [pageTokens] float32                 1 = visible key, 0 = pad token
struct PageShape {
  int64_t keyOffset = 0, valueOffset = 0, keepOffset = 0; // bytes inside a layer
  int64_t layerBytes = 0, pageBytes = 0;

  static PageShape of(const KernelSpec &spec) {
    auto layer = plan::PageShape::of(spec.kvHeads, spec.headDim, spec.pageTokens, bytesOf(spec.kv));
    return {0, layer.valueOffset, layer.keepOffset, layer.layerBytes,
            layer.layerBytes * spec.layers};
  }
};

} // namespace grok::compiler
