// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Vector registers for loops that the compiler would not vectorise in a fixed
// order, and the hash that names results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// One copy of a function per CPU generation, chosen when the program starts.
#if defined(__x86_64__) && defined(__clang__)
#define GROK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GROK_CLONES
#endif

namespace grok::calibration {

inline constexpr int64_t doubleLanes = 8, floatLanes = 16;
using DoubleLanes = double __attribute__((vector_size(doubleLanes * sizeof(double))));
using FloatLanes = float __attribute__((vector_size(floatLanes * sizeof(float))));

inline constexpr uint64_t hashStart = 0xcbf29ce484222325;

/// FNV-1a over 64-bit words, the rest padded with zeros.
inline uint64_t hashBytes(uint64_t seed, std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    for (size_t j = i; j < bytes.size() && j < i + 8; ++j)
      word |= uint64_t(bytes[j]) << (8 * (j - i));
    seed = (seed ^ word) * 0x100000001b3;
  }
  return seed;
}

} // namespace grok::calibration
