// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// AMX: products of int8 matrices, 16 rows of inputs by 16 columns of weights
// by 64 inputs at a time. Intel SDM volume 1, chapter 18.
#pragma once

#include "compiler/kernels/KernelBuilder.h"

namespace grok::compiler {

class TileProduct {
public:
  static constexpr int64_t rows = 16;
  static constexpr int64_t inputs = 64;                      // of one tile
  static constexpr int64_t tileBytes = 1024;                 // 16 rows of 64 bytes
  static constexpr int64_t mostRowTiles = 2, mostPanels = 2; // of one multiply()

  explicit TileProduct(KernelBuilder &kernel);

  /// Before the first and after the last multiply() of a kernel's chunk.
  void configure();
  void release();

  /// What to multiply: row tile i starts at inputs + i * 16 * inputStride,
  /// weights[j] holds lines of [16 columns][4 k].
  struct Operands {
    Value inputs;
    int64_t inputStride; // bytes from row to row
    int64_t rowTiles;
    Values weights;
    int64_t length; // inputs to sum over, a multiple of 64
  };
  /// sums [row][panel][16] int32 = the products.
  void multiply(const Operands &operands, Value sums);

private:
  void multiplyPlainly(const Operands &operands, Value sums);
  Value number(int64_t tile);

  KernelBuilder &kernel;
  Value configuration;
};

} // namespace grok::compiler
