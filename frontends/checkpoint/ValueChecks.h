// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which numbers a checkpoint may hold.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::checkpoint {

/// Index of the first element that is NaN or infinite. int8 has none. `data`
/// may be unaligned.
std::optional<int64_t> findNonFinite(std::span<const std::byte> data, DType dtype);

/// Index of the first scale that is NaN, infinite or below zero. Zero is legal:
/// a column of zeros has it.
std::optional<int64_t> findBadScale(std::span<const std::byte> data, DType dtype);

} // namespace grok::checkpoint
