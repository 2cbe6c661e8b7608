// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The register blocking of generated kernels: what differs between targets.
// None of these numbers changes a result bit, except hasFma.
#pragma once

#include <cstdint>

namespace grok::compiler {

/// Rows x panels of one register block of the GEMM form.
struct RegisterBlock {
  int64_t rows, panels;
};

/// The instructions that sum products of bytes.
enum class ByteProducts {
  pairs128, // SSSE3: pmaddubsw, products of an unsigned and a signed byte in pairs
  pairs256, // AVX2: the same
  dots512   // AVX-512 VNNI: vpdpbusd, such products in fours
};

/// One target level's choices.
struct TileShape {
  bool hasFma;                  // else products and sums round separately
  int64_t gemvPanels;           // panels walked together: streams in flight
  int64_t gemvUnroll;           // 64-byte lines of one panel per iteration
  int64_t prefetchBytes;        // ahead of each stream; 0 = none
  RegisterBlock block;          // many rows
  RegisterBlock remainder;      // the rows that do not fill a block
  int64_t chunkRows;            // rows whose partial sums stay in the L2 cache
  int64_t attentionHeads;       // query heads in registers together
  int64_t attentionKeys;        // vectors of 16 keys, or of 16 outputs, together
  ByteProducts products;        // of the integer form
  RegisterBlock fewRows;        // integer form, weights straight from memory
  int64_t integerRows;          // integer form: rows of a chunk, whole blocks of manyRows
  RegisterBlock manyRows;       // integer form, weights from the first-level cache
  bool hasTiles = false;        // AMX, for many rows
  bool expandsProducts = false; // plain arithmetic in place of dots512 and tiles, for tests
};

} // namespace grok::compiler
