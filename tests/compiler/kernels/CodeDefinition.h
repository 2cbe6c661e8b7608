// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// e4m3 by its definition, for tests: OCP 8-bit Floating Point Specification, table 1.
#pragma once

#include <cmath>
#include <cstdint>

namespace grok::compiler::testing {

/// Sign, four bits of exponent with bias 7, three of fraction; no infinity. 0x7f and 0xff
/// are NaN and stand for nothing here.
inline double valueOfE4m3(uint8_t code) {
  const int exponent = code >> 3 & 15, fraction = code & 7;
  double size = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return code & 0x80 ? -size : size;
}

/// The code nearest to `x`, of two equally near ones the even; at most 448.
inline uint8_t nearestE4m3(double x) {
  constexpr int largest = 0x7e;
  int best = 0;
  for (int code = 1; code <= largest; ++code) {
    double before = std::fabs(std::fabs(x) - valueOfE4m3(static_cast<uint8_t>(best)));
    double now = std::fabs(std::fabs(x) - valueOfE4m3(static_cast<uint8_t>(code)));
    if (now < before || (now == before && code % 2 == 0))
      best = code;
  }
  return static_cast<uint8_t>(std::signbit(x) ? 0x80 | best : best);
}

} // namespace grok::compiler::testing
