// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The shapes at which kernels are assembled.
#pragma once

#include "compiler/kernels/KernelSpec.h"

namespace grok::compiler::testing {

/// A kernel of Grok-1 in fast numerics with a bf16 cache, on one device; without the
/// format of its weights and the multiplier of its sums.
inline KernelSpec grok1Shapes(KernelOp op) {
  KernelSpec spec;
  spec.op = op;
  spec.numerics = Numerics::fast;
  spec.kv = CacheElement::bf16;
  spec.emb = spec.in = spec.out = 6144;
  spec.ffn = 32768;
  spec.vocab = 131072;
  spec.qHeads = 48;
  spec.kvHeads = 8;
  spec.headDim = 128;
  spec.layers = 64;
  spec.pageTokens = 32;
  spec.maxContext = 8192;
  spec.experts = 8;
  spec.selected = op == KernelOp::quantize ? 0 : 2;
  spec.eps = 1e-5;
  return spec;
}

} // namespace grok::compiler::testing
