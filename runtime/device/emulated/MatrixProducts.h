// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Small matrix products on elements as tensor cores see them. Integer sums are
// exact modulo 2^32; float products are exact, summed in float64 and rounded to
// float32 once, closer than PTX promises ("at least single precision").
#pragma once

#include <cstdint>

namespace grok::runtime::emulated {

/// One 32-bit word of elements as float32, lowest first: 4 of 8 bits, 2 of 16, or 1.
/// Returns how many. `element` is a GrokEmulatorElement other than s8 and u8.
uint32_t decodeFloats(uint32_t word, uint32_t element, float *out);

/// sums[m][n] += a[m][k] * b[k][n]; 16 rows, 8 columns, k even, at most 32.
/// `a` [16][k], `b` [k][8], `sums` [16][8].
void addProducts(const float *a, const float *b, float *sums, uint32_t k);

/// The same for 8-bit integers that were extended to 16 bits, in pairs of
/// consecutive k: `a` [16][k/2][2], `b` [k/2][8][2].
void addProducts(const int16_t *a, const int16_t *b, int32_t *sums, uint32_t k);

} // namespace grok::runtime::emulated
