// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/ArithmeticLimit.h"
#include "runtime/measurement/TimedThreads.h"

#include <algorithm>
#include <cstdint>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::runtime {

namespace {

/// A loop and what one turn of it computes.
struct Spin {
  void (*run)(int turns);
  double multiplyAdds;
};

} // namespace

// Twelve independent chains hide the latency of 4 to 5 cycles at 2 instructions a
// cycle. By name: an array of sums might live in memory.
#define CHAINS(one)                                                                                \
  one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
static constexpr int chains = 12;

#define FUSED(i) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum##i) : "v"(factor));

__attribute__((target("avx512f"))) static void spinFloats512(int turns) {
  const __m512 factor = _mm512_set1_ps(1e-9f);
#define DECLARE(i) __m512 sum##i = factor;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
    CHAINS(FUSED)
  }
}

__attribute__((target("avx2,fma"))) static void spinFloats256(int turns) {
  const __m256 factor = _mm256_set1_ps(1e-9f);
#define DECLARE(i) __m256 sum##i = factor;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
    CHAINS(FUSED)
  }
}
#undef FUSED

static void spinFloats128(int turns) {
  const __m128 factor = _mm_set1_ps(1e-9f);
#define DECLARE(i) __m128 sum##i = factor;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
#define PRODUCT_AND_SUM(i)                                                                         \
  {                                                                                                \
    __m128 product = factor;                                                                       \
    asm volatile("mulps %2, %1\n addps %1, %0" : "+x"(sum##i), "+x"(product) : "x"(factor));       \
  }
    CHAINS(PRODUCT_AND_SUM)
#undef PRODUCT_AND_SUM
  }
}

__attribute__((target("avx512f,avx512vnni"))) static void spinVnni(int turns) {
  const __m512i codes = _mm512_set1_epi8(1);
#define DECLARE(i) __m512i sum##i = codes;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
#define DOT(i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum##i) : "v"(codes));
    CHAINS(DOT)
#undef DOT
  }
}

// Pairs in int16, pairs of those in int32, sum: what AVX2 does without VNNI.
__attribute__((target("avx2"))) static void spinBytes256(int turns) {
  const __m256i codes = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
#define DECLARE(i) __m256i sum##i = codes;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
#define DOT(i)                                                                                     \
  {                                                                                                \
    __m256i pairs;                                                                                 \
    asm volatile("vpmaddubsw %2, %2, %1\n vpmaddwd %3, %1, %1\n vpaddd %1, %0, %0"                 \
                 : "+x"(sum##i), "=&x"(pairs)                                                      \
                 : "x"(codes), "x"(ones));                                                         \
  }
    CHAINS(DOT)
#undef DOT
  }
}

static void spinBytes128(int turns) {
  const __m128i codes = _mm_set1_epi16(1);
#define DECLARE(i) __m128i sum##i = codes;
  CHAINS(DECLARE)
#undef DECLARE
  for (int turn = 0; turn < turns; ++turn) {
#define DOT(i)                                                                                     \
  {                                                                                                \
    __m128i pairs = codes;                                                                         \
    asm volatile("pmaddwd %2, %1\n paddd %1, %0" : "+x"(sum##i), "+x"(pairs) : "x"(codes));        \
  }
    CHAINS(DOT)
#undef DOT
  }
}
#undef CHAINS

// Six tiles of sums; all tiles are 16 rows of 64 bytes.
static void spinAmx(int turns) {
  struct alignas(64) Configuration {
    uint8_t palette = 1, startRow = 0, unused[14] = {};
    uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  const Configuration configuration;
  asm volatile("ldtilecfg %0" ::"m"(configuration));
  asm volatile("tilezero %tmm6\n tilezero %tmm7");
  for (int turn = 0; turn < turns; ++turn)
    asm volatile("tdpbssd %tmm7, %tmm6, %tmm0\n tdpbssd %tmm7, %tmm6, %tmm1\n"
                 "tdpbssd %tmm7, %tmm6, %tmm2\n tdpbssd %tmm7, %tmm6, %tmm3\n"
                 "tdpbssd %tmm7, %tmm6, %tmm4\n tdpbssd %tmm7, %tmm6, %tmm5");
  asm volatile("tilerelease");
}

static bool mayUseTiles() {
#if defined(SYS_arch_prctl)
  constexpr int requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

static Spin chooseSpin(Arithmetic kind, std::string_view level) {
  const bool isWide = level.starts_with("x86-64-v4");
  const bool isMiddle = isWide || level.starts_with("x86-64-v3");
  if (kind == Arithmetic::floats) {
    if (isWide && __builtin_cpu_supports("avx512f"))
      return {spinFloats512, chains * 16.0};
    if (isMiddle && __builtin_cpu_supports("fma"))
      return {spinFloats256, chains * 8.0};
    return {spinFloats128, chains * 4.0};
  }
  if (level.ends_with("-amx") && mayUseTiles())
    return {spinAmx, 6 * 16.0 * 16 * 64};
  if (isWide && __builtin_cpu_supports("avx512vnni"))
    return {spinVnni, chains * 64.0};
  if (isMiddle && __builtin_cpu_supports("avx2"))
    return {spinBytes256, chains * 32.0};
  return {spinBytes128, chains * 8.0};
}

double measureArithmetic(Arithmetic kind, std::string_view cpuLevel, int threads) {
  const Spin spin = chooseSpin(kind, cpuLevel);
  constexpr double wanted = 2e9; // multiply-adds of a thread; fewer for narrow loops
  const int turns = static_cast<int>(std::min(wanted / spin.multiplyAdds, 2e6));
  const double seconds = timeThreads(
      threads, [&](int) { spin.run(turns / 16); }, // wakes the wide units
      [&](int) { spin.run(turns); });
  return spin.multiplyAdds * turns * threads / seconds;
}

} // namespace grok::runtime
