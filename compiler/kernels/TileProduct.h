// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// AMX: products of int8 or bf16 matrices, up to 16 rows of inputs by 16 columns
// of weights by 64 bytes of inputs at a time. Intel SDM volume 1, chapter 18.
#pragma once

#include "compiler/kernels/KernelBuilder.h"

namespace grok::compiler {

class TileProduct {
public:
  static constexpr int64_t rows = 16;
  static constexpr int64_t inputs = 64;                      // int8, of one tile
  static constexpr int64_t halfInputs = 32;                  // bf16, of one tile
  static constexpr int64_t tileBytes = 1024;                 // 16 rows of 64 bytes
  static constexpr int64_t mostRowTiles = 2, mostPanels = 2; // of one square multiply()
  static constexpr int64_t mostSums = 4;                     // row tiles times panels

  /// halves: bf16 with float32 sums, else int8 with int32 sums.
  enum class Elements { bytes, halves };

  /// `tileRows`: rows of inputs in a tile, 16 or 1.
  explicit TileProduct(KernelBuilder &kernel, Elements elements = Elements::bytes,
                       int64_t tileRows = rows);

  /// Before the first and after the last multiply() of a kernel's chunk.
  void configure();
  void release();

  /// What to multiply. Tile (i, k) of the inputs starts at inputs + i * rowTileBytes + k *
  /// stepBytes; weights[j] holds lines of [16 columns][4 bytes along k].
  struct Operands {
    Value inputs;
    int64_t inputStride;  // bytes from row to row
    int64_t rowTileBytes; // from row tile to row tile
    int64_t stepBytes;    // from tile to tile along k
    int64_t rowTiles;
    Values weights;
    int64_t steps;             // tiles along k
    int64_t prefetchBytes = 0; // ahead of the weights; 0 = none
  };
  /// Row r, panel j of the products: at sums + r * sumStride + j * 64.
  void multiply(const Operands &operands, Value sums, int64_t sumStride);

private:
  void multiplyStep(const Operands &operands, Value step);
  void multiplyPlainly(const Operands &operands, Value sums, int64_t sumStride);
  Values addPlainly(const Operands &operands, Value from, Value step, ValueRange sums);
  Values addHalvesPlainly(Value from, const Values &lines, ValueRange sums);
  Value number(int64_t tile);
  Value sumTile(const Operands &operands, int64_t rowTile, int64_t panel);

  KernelBuilder &kernel;
  Elements elements;
  int64_t tileRows;
  Value configuration;
};

} // namespace grok::compiler
