// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Elements of caches that are codes times a scale: int8, and fp8 e4m3 (OCP 8-bit
// floating point specification, "E4M3": exponent bias 7, no infinity, largest 448).
// Made of integer operations and exact products, so that every target stores the same
// bytes and reads the same numbers. Scalars or vectors alike.
#pragma once

#include "compiler/kernels/VectorBuilder.h"

namespace grok::compiler {

/// The size of the largest code: 127 or 448.
float largestCode(CacheElement element);

/// The code nearest to a float32, ties to even, in the low byte of a 32-bit word.
/// Beyond the largest code it is that code, and of NaN its negative.
Value codeOf(VectorBuilder &v, CacheElement element, Value x);

/// A code, sign-extended to a 32-bit word, as float32.
Value valueOfCode(VectorBuilder &v, CacheElement element, Value word);

} // namespace grok::compiler
