// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What one core can do at most: read memory, and multiply-add in registers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace grok::benchmarks {

/// Reads all bytes (a multiple of 4096), as `streams` (4 or 8) concurrent runs,
/// and returns a value that depends on them.
uint64_t readAll(const uint8_t *bytes, size_t count, int streams);

/// Float32 multiply-adds in registers, by the widest vectors of this machine.
void spinMultiplyAdds();
double multiplyAddsInSpin();

} // namespace grok::benchmarks
