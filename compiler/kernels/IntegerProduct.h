// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of quantised rows (plan::QuantizedRow) and integer weights.
#pragma once

#include "compiler/kernels/ByteDot.h"
#include "compiler/kernels/MatrixProduct.h"
#include "compiler/kernels/PackedLines.h"
#include "compiler/kernels/TileProduct.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

/// Sums of a unit are exact integers, so no form and no level can change them.
/// They enter the sum of their slice as sum = fma(float(unit sum), the row's
/// scale of the unit, sum); the columns' scales multiply whole slices where
/// slices lie inside row groups, else the row's scale first.
///
/// One row, and few rows, take weights straight from memory; for many rows
/// each unit's weights are opened once into the first-level cache.
///
/// Of rows of two digits each is multiplied as a row of its own by the weights
/// that are at hand; (high << 7) + low is the sum of the unit.
class IntegerProduct final : public MatrixProduct {
public:
  IntegerProduct(KernelBuilder &kernel, int64_t width, bool isRagged, bool areNeighbours);

  int64_t inputRowBytes() const override { return record.bytes; }
  void emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows, RowInput input,
            Value result) override;
  void prepare(Value rows, RowInput input, Value key) override;

private:
  // One row's inputs of a unit, the high digit first.
  struct DigitUnit {
    Value codes;
    Values startWords; // per run of codes, else one
  };
  struct RowUnit {
    llvm::SmallVector<DigitUnit, plan::QuantizedRow::mostDigits> digits;
    Value scale; // float32
  };
  // Weights of a register block.
  struct Lines {
    bool isStored; // opened, in `stored`; else straight from the panels
    Values lines;  // isStored: address of each panel's first line
    Values panels; // addresses of the packed panels
    size_t count() const { return panels.size(); }
  };

  // Shared by all forms.
  RowUnit rowUnit(Value row, Value unitNumber);
  Values multiplyUnit(const Lines &lines, llvm::ArrayRef<RowUnit> rows, Value unitNumber);
  Values multiplyRun(const Lines &lines, llvm::ArrayRef<DigitUnit> digits,
                     const PackedLines::Place &place, int64_t run);
  void addBundle(const Lines &lines, llvm::ArrayRef<DigitUnit> digits,
                 const PackedLines::Place &place, Value at, Values &sums);
  const ByteDot &dotOf(const Lines &lines) const { return lines.isStored ? storedDot : packedDot; }
  Values unitScales(const MatrixOperand &matrix, llvm::ArrayRef<Value> panels, Value unitNumber);
  Value addUnit(Value unitSum, Value rowScale, Value columnScale, Value sliceSum);
  Value sliceScale(const MatrixOperand &matrix, Value panel, Value slice);

  // One row: sums of a slice in registers.
  void emitRow(const MatrixOperand &matrix, const Walk &walk, Value row, Value result);

  // Chunks of rows: sums of all slices in memory (IntegerProductChunk.cpp).
  struct ChunkUnit {
    const MatrixOperand &matrix;
    const Walk &walk;
    Value rows;
    RowInput input;
    Value number;  // of the unit
    Value isLater; // than the first of its slice, in all lanes
  };
  void emitChunk(const MatrixOperand &matrix, const Walk &walk, Value rows, RowInput input,
                 Value result);
  Value isMany(Value rows);
  void mergeSlice(const MatrixOperand &matrix, const Walk &walk, Value rows, Value slice,
                  Value result);
  void mergeRows(const MatrixOperand &matrix, const Walk &walk, Value rows, Value slice,
                 int64_t level, Value result);
  Value sumBefore(const ChunkUnit &chunk, Value address);
  void forPanelBlocks(const ChunkUnit &chunk, int64_t count,
                      llvm::function_ref<void(Value first, const Values &absolute)> body);
  void emitFewRows(const ChunkUnit &chunk);
  void emitFewRowBlock(const ChunkUnit &chunk, Value first, int64_t count);
  void emitManyRows(const ChunkUnit &chunk);
  void addBlock(const ChunkUnit &chunk, const Lines &lines, llvm::ArrayRef<RowUnit> rows,
                Value firstRow, Value firstPanel, ValueRange scales);
  // Tiles (IntegerProductTiles.cpp).
  struct TileInputs {
    Value codes, scales; // of row 0 of the chunk
    int64_t codeStride, digitStride, scaleStride;
  };
  struct TileBlock {
    Value firstPanel;
    Values weights; // address of the unit's first line
    Values scales;  // per panel, where slices cross row groups
  };
  bool usesTiles() const;
  void emitTiles(const ChunkUnit &chunk);
  void emitTileRows(const ChunkUnit &chunk, const TileInputs &inputs, Value firstTile,
                    int64_t rowTiles);
  void emitTileBlock(const ChunkUnit &chunk, const TileBlock &block, const TileInputs &inputs,
                     Value firstTile, int64_t rowTiles);
  TileInputs gatheredInputs(const ChunkUnit &chunk);
  TileInputs inputsInPlace(const ChunkUnit &chunk);
  void prefetchUnit(const ChunkUnit &chunk);
  bool gathersAll() const { return usesTiles() && !areNeighbours; }

  void gatherRows(const ChunkUnit &chunk, Value first);
  RowUnit gatheredRow(Value row);
  Value gatheredCodes(Value row);
  void storeUnit(const ChunkUnit &chunk);
  void storeRun(Value panel, Value to, const PackedLines::Place &place);
  Value filledRows(Value rows);
  bool storesLines() const;

  std::optional<TileProduct> tileProduct;
  Value tileSums; // [row of two tiles, or both digits of one][panel of two][16] int32
  WeightFormat format;
  plan::QuantizedRow record;
  PackedLines packed;
  ByteDot packedDot, storedDot;
  RegisterBlock fewRows, manyRows;
  int64_t runsPerUnit, startCount; // start words of a gathered row's digit
  bool areNeighbours;              // input rows
  bool scalesUnits;                // slices cross row groups
  int64_t levels;                  // of the tree of slices
  Value sums;    // one row: [slice][walk panel][16]; chunks: of the slice, [row][walk panel][16]
  Value pending; // chunks: [level][row][walk panel][16]
  Value gatheredKey; // of the chunk that `codes` and `rowScales` hold whole, [unit][row]..
  Value stored;      // [walk panel][unit / 4][16][4] opened weights
  Value codes, starts, rowScales; // gathered: [row][digit][unit], [row][digit][startCount], [row]
};

} // namespace grok::compiler
