// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of activations times neighbouring panels of a packed matrix: the inside
// of every matrix kernel, and the only place where the order of sums is made.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/WeightReader.h"

namespace grok::compiler {

/// Emits x.W for `width` panels at a time, result rows in scratch. One row at
/// a time (GEMV form, weights straight from memory to registers) or a chunk of
/// rows (GEMM form, each unit of weights opened once for the whole chunk).
///
/// Order of sums, for either form: inside a unit one chain per column from 0;
/// units of a slice in ascending order; slices as the tree ((0+1)+(2+3))+...
class PanelProduct {
public:
  /// `isRagged`: the last tile may have fewer than `width` panels.
  PanelProduct(KernelBuilder &kernel, int64_t contraction, int64_t width, bool isRagged);

  /// Scratch for one chunk of result rows, [row][width * 16] float32.
  Value newResult();

  /// body(first row, number of rows) for chunks of at most chunkRows.
  void forChunks(Value rows, llvm::function_ref<void(Value first, Value count)> body);

  /// Address of the contraction's inputs of a row of the chunk.
  using RowInput = llvm::function_ref<Value(Value row)>;

  /// result[row][panel] = input(row) . matrix panel firstPanel + panel, for
  /// `rows` rows and `panels` (1..width) panels.
  void emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows, RowInput input,
            Value result);

  /// body(row, panel, vector) over a result.
  void forResults(Value result, Value rows, Value panels,
                  llvm::function_ref<void(Value row, Value panel, Value sums)> body);

  Value resultAddress(Value result, Value row, Value panel);

private:
  // Panels that stand in registers together.
  struct Walk {
    Values relative; // to the first panel of the tile
    Values absolute;
    Values weights; // address of k = 0
  };
  Walk walkFrom(const MatrixOperand &matrix, Value firstPanel, Value panels, Value start);
  Values scalesAt(const MatrixOperand &matrix, const Walk &walk, Value k, bool wanted);
  Value addUnit(Value unitSum, Value scale, Value sliceSum);
  Value sliceTree(Value address, int64_t stride, int64_t first, int64_t count);

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

  KernelBuilder &kernel;
  WeightReader reader;
  int64_t unit, slices, unitsPerSlice, elementBytes, kPack;
  int64_t width, walkPanels, chunkRows;
  int64_t piece; // GEMM: inputs opened together, a part of a unit
  bool isGemv, mayClamp;
  Value sums;   // GEMV: [slice][walk panel][16]; GEMM: [slice][row][walk panel][16]
  Value opened; // GEMM: [walk panel][piece][16] weights as float32
  Value inputs; // GEMM: [row][piece]
  Value paused; // GEMM, units of several pieces: [row][walk panel][16] chains
};

} // namespace grok::compiler
