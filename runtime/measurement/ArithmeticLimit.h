// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The arithmetic that a prefill is held against.
#pragma once

#include <string_view>

namespace grok::runtime {

enum class Arithmetic { floats, integers };

/// Multiply-adds per second of `threads` threads that do nothing else, from
/// registers: float32, or the int8 dot products of the widest instruction that
/// kernels of `cpuLevel` may use and this machine has. Takes some 10 ms.
double measureArithmetic(Arithmetic kind, std::string_view cpuLevel, int threads);

} // namespace grok::runtime
