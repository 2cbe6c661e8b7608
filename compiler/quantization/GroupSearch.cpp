// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Searches over 16 columns at once, one vector register of AVX-512.
//
// Compiled without contraction of a * b + c into one rounding, so that a machine
// with and one without such instructions choose the same codes.
#include "compiler/quantization/GroupSearch.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

// One copy of a function per CPU generation, chosen when the program starts.
#if defined(__x86_64__) && defined(__clang__)
#define GROK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GROK_CLONES
#endif

namespace grok::quantization {

namespace {
using Lanes = float __attribute__((vector_size(searchColumns * sizeof(float))));
using Bytes = int8_t __attribute__((vector_size(searchColumns)));

/// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, every
/// |x| < 2^22.
constexpr float integerMagnet = 12582912.0f;
} // namespace

/// Vectors travel by reference: by value, each clone would have its own calling
/// convention.
static inline __attribute__((always_inline)) void clampTo(Lanes &x, float low, float high) {
  const Lanes lows = low - Lanes{}, highs = high - Lanes{};
  x = x < lows ? lows : x;
  x = x > highs ? highs : x;
}

GROK_CLONES
static void search(const GroupBlock &block, int64_t maxMultiplier, float zero,
                   int8_t *multipliers) {
  Lanes least = std::numeric_limits<float>::infinity() - Lanes{}, chosen = {};
  for (int64_t m = 1; m <= maxMultiplier; ++m) {
    const float step = static_cast<float>(m), inverse = 1.0f / step;
    Lanes positive = {}, negative = {}; // sums of squared errors for m and -m
    for (int64_t row = 0; row < block.rows; ++row) {
      Lanes value;
      std::memcpy(&value, block.values + row * searchColumns, sizeof value);
      // An inexact quotient may round a tie to the other side: the same error.
      const Lanes nearest = (value * inverse + integerMagnet) - integerMagnet;
      Lanes up = nearest, down = nearest;
      clampTo(up, -zero, zero - 1);
      clampTo(down, 1 - zero, zero);
      up = value - step * up;
      down = value - step * down;
      positive += block.importance[row] * (up * up);
      negative += block.importance[row] * (down * down);
    }
    chosen = positive < least ? step - Lanes{} : chosen;
    least = positive < least ? positive : least;
    chosen = negative < least ? -step - Lanes{} : chosen;
    least = negative < least ? negative : least;
  }
  const Bytes bytes = __builtin_convertvector(chosen, Bytes);
  std::memcpy(multipliers, &bytes, sizeof bytes);
}

void searchMultipliers(MatrixFormat::Kind kind, const GroupBlock &block, int8_t *multipliers) {
  static constexpr auto alike = [] {
    std::array<float, largestGroup> ones;
    ones.fill(1);
    return ones;
  }();
  assert(block.importance || block.rows <= largestGroup);
  const float *importance = block.importance ? block.importance : alike.data();
  search({block.values, importance, block.rows}, maxMultiplierOf(kind),
         static_cast<float>(zeroPointOf(kind)), multipliers);
}

void nearestMultipliers(MatrixFormat::Kind kind, const GroupBlock &block, int8_t *multipliers) {
  const auto zero = static_cast<float>(zeroPointOf(kind));
  const auto limit = static_cast<float>(maxMultiplierOf(kind));
  float extremes[searchColumns] = {}; // the first of largest size, with its sign
  for (int64_t row = 0; row < block.rows; ++row)
    for (int64_t column = 0; column < searchColumns; ++column) {
      const float value = block.values[row * searchColumns + column];
      extremes[column] = std::fabs(value) > std::fabs(extremes[column]) ? value : extremes[column];
    }
  for (int64_t column = 0; column < searchColumns; ++column) {
    // The outermost code is -zero: a positive extreme takes a negative step.
    const float steps = std::nearbyint(std::fabs(extremes[column]) / zero);
    const float size = std::clamp(steps, 1.0f, limit);
    multipliers[column] = static_cast<int8_t>(extremes[column] > 0 ? -size : size);
  }
}

GROK_CLONES
static void encode(const GroupBlock &block, const int8_t *multipliers, float zero, int8_t *codes) {
  Bytes steps;
  std::memcpy(&steps, multipliers, sizeof steps);
  const Lanes divisors = __builtin_convertvector(steps, Lanes);
  for (int64_t row = 0; row < block.rows; ++row) {
    Lanes quotient;
    std::memcpy(&quotient, block.values + row * searchColumns, sizeof quotient);
    quotient /= divisors;
    clampTo(quotient, -zero, zero - 1);
    quotient = (quotient + integerMagnet) - integerMagnet;
    const Bytes bytes = __builtin_convertvector(quotient, Bytes);
    std::memcpy(codes + row * searchColumns, &bytes, sizeof bytes);
  }
}

void encodeGroup(MatrixFormat::Kind kind, const GroupBlock &block, const int8_t *multipliers,
                 int8_t *codes) {
  encode(block, multipliers, static_cast<float>(zeroPointOf(kind)), codes);
}

} // namespace grok::quantization
