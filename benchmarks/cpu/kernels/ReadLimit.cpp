// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "benchmarks/cpu/kernels/ReadLimit.h"

#include <immintrin.h>

namespace grok::benchmarks {

template <int streams>
__attribute__((target("avx2"))) static uint64_t readStreams(const uint8_t *bytes, size_t count) {
  __m256i sums[streams] = {};
  size_t part = count / streams / 64 * 64;
  for (size_t at = 0; at < part; at += 64)
    for (int s = 0; s < streams; ++s) {
      auto *line = reinterpret_cast<const __m256i *>(bytes + s * part + at);
      sums[s] = _mm256_xor_si256(sums[s], _mm256_load_si256(line));
      sums[s] = _mm256_xor_si256(sums[s], _mm256_load_si256(line + 1));
    }
  for (int s = 1; s < streams; ++s)
    sums[0] = _mm256_xor_si256(sums[0], sums[s]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0));
}

uint64_t readAll(const uint8_t *bytes, size_t count, int streams) {
  return streams == 4 ? readStreams<4>(bytes, count) : readStreams<8>(bytes, count);
}

// Enough independent chains to hide the latency of 4 cycles at 2 a cycle, and
// few enough to stay in registers.
static constexpr int chains = 12, rounds = 4'000'000;

// Twelve chains by name: an array might live in memory. The empty assembly
// keeps the optimiser from seeing that all are equal.
#define SPIN(one)                                                                                  \
  one(s0) one(s1) one(s2) one(s3) one(s4) one(s5) one(s6) one(s7) one(s8) one(s9) one(s10) one(s11)

__attribute__((target("avx512f"))) static float spinWide() {
  __m512 a = _mm512_set1_ps(1e-9f);
#define DECLARE(sum) __m512 sum = a;
#define ADD(sum)                                                                                   \
  sum = _mm512_fmadd_ps(a, a, sum);                                                                \
  asm volatile("" : "+v"(sum));
#define COLLECT(sum) a = _mm512_add_ps(a, sum);
  SPIN(DECLARE)
  for (int i = 0; i < rounds; ++i) {
    SPIN(ADD)
  }
  SPIN(COLLECT)
#undef DECLARE
#undef ADD
#undef COLLECT
  return _mm512_cvtss_f32(a);
}

__attribute__((target("avx2,fma"))) static float spinNarrow() {
  __m256 a = _mm256_set1_ps(1e-9f);
#define DECLARE(sum) __m256 sum = a;
#define ADD(sum)                                                                                   \
  sum = _mm256_fmadd_ps(a, a, sum);                                                                \
  asm volatile("" : "+x"(sum));
#define COLLECT(sum) a = _mm256_add_ps(a, sum);
  SPIN(DECLARE)
  for (int i = 0; i < rounds; ++i) {
    SPIN(ADD)
  }
  SPIN(COLLECT)
#undef DECLARE
#undef ADD
#undef COLLECT
  return _mm256_cvtss_f32(a);
}

static bool isWide() { return __builtin_cpu_supports("avx512f"); }

double multiplyAddsInSpin() { return double(rounds) * chains * (isWide() ? 16 : 8); }

void spinMultiplyAdds() {
  volatile float sink = isWide() ? spinWide() : spinNarrow();
  (void)sink;
}

} // namespace grok::benchmarks
