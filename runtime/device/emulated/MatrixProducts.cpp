// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiled for AVX2 and FMA, which translated kernels need anyway.
#include "runtime/device/emulated/MatrixProducts.h"
#include "runtime/device/emulated/EmulatorABI.h"
#include <bit>
#include <cmath>
#include <immintrin.h>

namespace grok::runtime::emulated {

// 8-bit floats (OCP 8-bit floating point specification): e4m3 has no infinity
// and one NaN per sign, e5m2 is the upper half of binary16.
static float e4m3(uint32_t code) {
  const auto exponent = static_cast<int>(code >> 3 & 15);
  const auto fraction = static_cast<float>(code & 7);
  float value = exponent ? std::ldexp(8 + fraction, exponent - 10) : std::ldexp(fraction, -9);
  if ((code & 0x7f) == 0x7f)
    value = __builtin_nanf("");
  return code & 0x80 ? -value : value;
}

uint32_t decodeFloats(uint32_t word, uint32_t element, float *out) {
  switch (element) {
  case grokF16:
    out[0] = _cvtsh_ss(static_cast<unsigned short>(word));
    out[1] = _cvtsh_ss(static_cast<unsigned short>(word >> 16));
    return 2;
  case grokBf16:
    out[0] = std::bit_cast<float>(word << 16);
    out[1] = std::bit_cast<float>(word & 0xffff0000u);
    return 2;
  case grokTf32: // the 13 low bits are not read
    out[0] = std::bit_cast<float>(word & 0xffffe000u);
    return 1;
  case grokE4m3:
    for (int i = 0; i < 4; ++i)
      out[i] = e4m3(word >> 8 * i & 0xff);
    return 4;
  default: // e5m2
    for (int i = 0; i < 4; ++i)
      out[i] = _cvtsh_ss(static_cast<unsigned short>((word >> 8 * i & 0xff) << 8));
    return 4;
  }
}

void addProducts(const float *a, const float *b, float *sums, uint32_t k) {
  __m256d columns[32][2];
  for (size_t i = 0; i < k; ++i) {
    columns[i][0] = _mm256_cvtps_pd(_mm_loadu_ps(b + 8 * i));
    columns[i][1] = _mm256_cvtps_pd(_mm_loadu_ps(b + 8 * i + 4));
  }
  for (size_t m = 0; m < 16; ++m) {
    __m256d low = _mm256_cvtps_pd(_mm_loadu_ps(sums + 8 * m));
    __m256d high = _mm256_cvtps_pd(_mm_loadu_ps(sums + 8 * m + 4));
    for (size_t i = 0; i < k; ++i) {
      const __m256d factor = _mm256_set1_pd(a[m * k + i]);
      low = _mm256_fmadd_pd(factor, columns[i][0], low);
      high = _mm256_fmadd_pd(factor, columns[i][1], high);
    }
    _mm_storeu_ps(sums + 8 * m, _mm256_cvtpd_ps(low));
    _mm_storeu_ps(sums + 8 * m + 4, _mm256_cvtpd_ps(high));
  }
}

void addProducts(const int16_t *a, const int16_t *b, int32_t *sums, uint32_t k) {
  for (size_t m = 0; m < 16; ++m) {
    auto *row = reinterpret_cast<__m256i *>(sums + 8 * m);
    __m256i sum = _mm256_loadu_si256(row);
    for (size_t pair = 0; pair < k / 2; ++pair) {
      int32_t both;
      __builtin_memcpy(&both, a + m * k + 2 * pair, sizeof both);
      const __m256i factors = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(b + 16 * pair));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_set1_epi32(both), factors));
    }
    _mm256_storeu_si256(row, sum);
  }
}

} // namespace grok::runtime::emulated
