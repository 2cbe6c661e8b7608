// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of float32 rows: weights are opened to float32.
#pragma once

#include "compiler/kernels/MatrixProduct.h"

namespace grok::compiler {

/// Weights of any format times float32 rows. Inside a unit the products of a
/// column form one chain from 0. For many rows each unit of weights is opened
/// to float32 once for the whole chunk.
class PanelProduct final : public MatrixProduct {
public:
  PanelProduct(KernelBuilder &kernel, int64_t width, bool isRagged);

  int64_t inputRowBytes() const override { return rowBytes(contraction); }
  void emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows, RowInput input,
            Value result) override;

private:
  Values scalesAt(const MatrixOperand &matrix, const Walk &walk, Value k, bool wanted);
  Value addUnit(Value unitSum, Value scale, Value sliceSum);

  // GEMV form
  void emitRow(const MatrixOperand &matrix, const Walk &walk, Value input, Value result);
  Values emitUnitOfRow(const MatrixOperand &matrix, const Walk &walk, Value input, Value k);
  // GEMM form
  void emitChunk(const MatrixOperand &matrix, const Walk &walk, Value rows, RowInput input,
                 Value result);
  void emitPieces(const MatrixOperand &matrix, const Walk &walk, Value rows, RowInput input,
                  Value k, Value sliceSums);
  void emitPiece(const MatrixOperand &matrix, const Walk &walk, Value rows, RowInput input, Value k,
                 Value target);
  void openPiece(const MatrixOperand &matrix, const Walk &walk, Value k);
  void packInputs(Value rows, RowInput input, Value k);
  void emitBlocks(RegisterBlock block, const MatrixOperand &matrix, const Walk &walk,
                  Value firstRow, Value endRow, Value k, Value target);
  Values multiplyBlock(RegisterBlock block, Value row, Value panel, ValueRange chains);
  void clearRows(Value target, Value rows);
  RegisterBlock fitted(RegisterBlock block) const;
  Value filledRows(Value rows);

  WeightReader reader;
  int64_t inputBytes, bundle;
  int64_t piece; // GEMM: inputs opened together, a part of a unit
  Value sums;    // GEMV: [slice][walk panel][16]; GEMM: [slice][row][walk panel][16]
  Value opened;  // GEMM: [walk panel][piece][16] weights as float32
  Value inputs;  // GEMM: [row][piece]
  Value paused;  // GEMM, units of several pieces: [row][walk panel][16] chains
};

} // namespace grok::compiler
