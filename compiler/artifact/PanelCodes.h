// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Panels of four and three bit codes (docs/packing.md).
#pragma once

#include "compiler/artifact/PackedTensor.h"
#include "compiler/quantization/EncodedMatrix.h"

namespace grok::compiler {

/// Packs panels [chunk.firstPanel, chunk.lastPanel) of `matrix`, the encoded
/// expert of the chunk, into `out` (chunk.bytes long).
void packCodes(const PackedTensor &tensor, const quantization::EncodedMatrix &matrix,
               const PackedChunk &chunk, std::span<std::byte> out, int threads);

} // namespace grok::compiler
