// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Functions that have no instruction, as polynomials, so that kernels import
// nothing; and sums over lanes in one fixed order. Scalars or vectors alike.
#pragma once

#include "compiler/kernels/VectorBuilder.h"

namespace grok::compiler {

/// e^x within 2 ulp; 0 below -87.33, infinity above 88.37, 1 exactly at 0.
Value exponential(VectorBuilder &v, Value x);

/// tanh(x) within 3 ulp.
Value hyperbolicTangent(VectorBuilder &v, Value x);

/// The softmax over two parts of its scores, from the maximum of each part and the sum
/// of exp(score - maximum): those of both, and what sums over either part are
/// multiplied by to enter theirs.
struct SoftmaxMerge {
  Value maximum, total, oldFactor, newFactor;
};
SoftmaxMerge mergeSoftmax(VectorBuilder &v, Value oldMaximum, Value oldTotal, Value newMaximum,
                          Value newTotal);

/// The tanh-approximated GELU, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
Value geluTanh(VectorBuilder &v, Value x);

/// Nearest bfloat16, ties to even, as float32; NaN stays NaN.
Value roundToBf16(VectorBuilder &v, Value x);

/// roundToBf16 in bf16 numerics, `x` itself in f32.
Value roundActivation(VectorBuilder &v, Numerics numerics, Value x);

/// Loads 16 kv elements as float32; stores one or a vector of them, rounded.
Value loadCacheVector(VectorBuilder &v, bool isBf16, Value address);
void storeCacheElement(VectorBuilder &v, bool isBf16, Value value, Value address);

/// Lane i + lane i+8, then i+4, i+2, i+1.
Value sumOfLanes(VectorBuilder &v, Value vector);
Value maximumOfLanes(VectorBuilder &v, Value vector);

} // namespace grok::compiler
