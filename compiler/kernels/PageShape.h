// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where keys, values and visibility stand inside a cache page, for the kernels
// of one specification.
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "dialects/plan/PageShape.h"

namespace grok::compiler {

/// One page holds `pageTokens` positions of every layer.
struct PageShape {
  plan::PageShape layer;
  int64_t pageBytes = 0;

  static PageShape of(const KernelSpec &spec) {
    auto layer = plan::PageShape::of(spec.kvHeads, spec.headDim, spec.pageTokens, bytesOf(spec.kv));
    return {layer, layer.layerBytes * spec.layers};
  }
};

} // namespace grok::compiler
