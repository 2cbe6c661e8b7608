// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of float32 rows, rounded to bf16, and bf16 weights, by AMX.
#pragma once

#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/TileProduct.h"

namespace grok::compiler {

/// Sums of a slice are one chain of tiles, so units do not show. A row is
/// rounded once for all panels and matrices that meet its chunk. One row takes
/// the same instructions as many, in tiles of one row: hence the same bits.
class HalfProduct final : public MatrixProduct {
public:
  HalfProduct(KernelBuilder &kernel, int64_t width, bool isRagged);

  /// Whether products of the kernel's form are made like this: bf16 weights in
  /// fast numerics, on levels with tiles, slices of whole tiles.
  static bool fits(const KernelBuilder &kernel);

  int64_t inputRowBytes() const override { return rowBytes(contraction); }
  void prepare(Value rows, RowInput input, Value key) override;
  void emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows, RowInput input,
            Value result) override;

private:
  void roundRow(Value from, Value to);
  Value halves(Value low, Value high);
  void emitRows(const Walk &walk, Value firstRow, Value rows, Value result);
  void emitTiles(const Walk &walk, Value slice, Value firstRow, Value rowTile, int64_t rowTiles);

  TileProduct tiles;
  int64_t tileRows, stepsPerSlice;
  int64_t rowTileBytes; // of rounded inputs
  Value roundedKey;     // of the chunk in `rounded`
  Value rounded;        // [row tile][K / 32][tileRows][32] bf16
  Value sums;           // [slice][row][walk panel][16]
};

} // namespace grok::compiler
