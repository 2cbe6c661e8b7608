// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bit positions: Intel SDM volume 2, CPUID; volume 1 section 13.3 for XCR0.
#include "runtime/device/cpu/CpuFeatures.h"
#include <algorithm>
#include <array>
#include <cpuid.h>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::runtime {

namespace {

enum Register { eax, ebx, ecx, edx };

struct FeatureBit {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  int bit;
  uint64_t state; // XCR0 bits that must be on
};

} // namespace

static constexpr uint64_t noState = 0;
static constexpr uint64_t avxState = 0x6;     // XMM and upper YMM
static constexpr uint64_t avx512State = 0xe6; // and masks, upper ZMM, ZMM16-31
static constexpr uint64_t amxState = 0x60000; // tile configuration and data
static constexpr uint32_t extended = 0x80000001;

static constexpr FeatureBit featureBits[] = {
    {"cmov", 1, 0, edx, 15, noState},
    {"mmx", 1, 0, edx, 23, noState},
    {"fxsr", 1, 0, edx, 24, noState},
    {"sse", 1, 0, edx, 25, noState},
    {"sse2", 1, 0, edx, 26, noState},
    {"cx8", 1, 0, edx, 8, noState},
    {"sse3", 1, 0, ecx, 0, noState},
    {"pclmul", 1, 0, ecx, 1, noState},
    {"ssse3", 1, 0, ecx, 9, noState},
    {"fma", 1, 0, ecx, 12, avxState},
    {"cx16", 1, 0, ecx, 13, noState},
    {"sse4.1", 1, 0, ecx, 19, noState},
    {"sse4.2", 1, 0, ecx, 20, noState},
    {"movbe", 1, 0, ecx, 22, noState},
    {"popcnt", 1, 0, ecx, 23, noState},
    {"xsave", 1, 0, ecx, 26, noState},
    {"avx", 1, 0, ecx, 28, avxState},
    {"f16c", 1, 0, ecx, 29, avxState},
    {"sahf", extended, 0, ecx, 0, noState},
    {"lzcnt", extended, 0, ecx, 5, noState},
    {"bmi", 7, 0, ebx, 3, noState},
    {"avx2", 7, 0, ebx, 5, avxState},
    {"bmi2", 7, 0, ebx, 8, noState},
    {"avx512f", 7, 0, ebx, 16, avx512State},
    {"avx512dq", 7, 0, ebx, 17, avx512State},
    {"avx512ifma", 7, 0, ebx, 21, avx512State},
    {"avx512cd", 7, 0, ebx, 28, avx512State},
    {"avx512bw", 7, 0, ebx, 30, avx512State},
    {"avx512vl", 7, 0, ebx, 31, avx512State},
    {"avx512vbmi", 7, 0, ecx, 1, avx512State},
    {"avx512vbmi2", 7, 0, ecx, 6, avx512State},
    {"gfni", 7, 0, ecx, 8, noState},
    {"avx512vnni", 7, 0, ecx, 11, avx512State},
    {"avx512bitalg", 7, 0, ecx, 12, avx512State},
    {"avx512vpopcntdq", 7, 0, ecx, 14, avx512State},
    {"amx-bf16", 7, 0, edx, 22, amxState},
    {"avx512fp16", 7, 0, edx, 23, avx512State},
    {"amx-tile", 7, 0, edx, 24, amxState},
    {"amx-int8", 7, 0, edx, 25, amxState},
    {"avxvnni", 7, 1, eax, 4, avxState},
    {"avx512bf16", 7, 1, eax, 5, avx512State},
};

static std::array<uint32_t, 4> cpuid(uint32_t leaf, uint32_t subleaf) {
  std::array<uint32_t, 4> regs = {};
  if (!__get_cpuid_count(leaf, subleaf, &regs[eax], &regs[ebx], &regs[ecx], &regs[edx]))
    regs.fill(0);
  return regs;
}

static uint64_t enabledState() {
  constexpr uint32_t osxsave = 1u << 27;
  if (!(cpuid(1, 0)[ecx] & osxsave))
    return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Linux gives a process tile registers only if it asks for them; older kernels
// do not know the question and save no tiles.
static bool askForTiles() {
  constexpr int requestPermission = 0x1023, tileData = 18; // asm/prctl.h
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

CpuFeatures CpuFeatures::detect() {
  std::vector<std::string_view> found;
  uint64_t state = enabledState();
  if ((state & amxState) == amxState && !askForTiles())
    state &= ~amxState;
  for (const FeatureBit &feature : featureBits) {
    bool present = cpuid(feature.leaf, feature.subleaf)[feature.reg] >> feature.bit & 1;
    if (present && (state & feature.state) == feature.state)
      found.push_back(feature.name);
  }
  return CpuFeatures(std::move(found));
}

bool CpuFeatures::has(std::string_view name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace grok::runtime
