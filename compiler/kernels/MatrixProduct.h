// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of activations times neighbouring panels of a packed matrix: the inside
// of every matrix kernel, and the only place where the order of sums is made.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/WeightReader.h"

#include <memory>

namespace grok::compiler {

/// Emits x.W for `width` panels at a time, result rows in scratch. A kernel
/// for one row walks the weights straight from memory to registers; one for
/// many rows uses each weight for a whole chunk of rows.
///
/// Order of sums, for either: units of a slice in ascending order; slices as
/// the tree ((0+1)+(2+3))+...
class MatrixProduct {
public:
  virtual ~MatrixProduct() = default;

  /// Scratch for one chunk of result rows, [row][width * 16] float32.
  Value newResult();

  /// body(first row, number of rows) for chunks of at most chunkRows.
  void forChunks(Value rows, llvm::function_ref<void(Value first, Value count)> body);

  /// Bytes from one input row to the next where rows stand one after another.
  virtual int64_t inputRowBytes() const = 0;

  /// Address of a row of the chunk: the contraction's inputs, or their record.
  using RowInput = llvm::function_ref<Value(Value row)>;

  /// Before the first emit() of a chunk of rows. Equal keys mean equal chunks.
  virtual void prepare(Value rows, RowInput input, Value key) {}

  /// result[row][panel] = input(row) . matrix panel firstPanel + panel, for
  /// `rows` rows and `panels` (1..width) panels.
  virtual void emit(const MatrixOperand &matrix, Value firstPanel, Value panels, Value rows,
                    RowInput input, Value result) = 0;

  /// body(row, panel, vector) over a result.
  void forResults(Value result, Value rows, Value panels,
                  llvm::function_ref<void(Value row, Value panel, Value sums)> body);

  Value resultAddress(Value result, Value row, Value panel);

protected:
  /// What differs between the products: panels in registers or caches
  /// together, and rows of a chunk.
  struct Blocking {
    int64_t walkPanels, chunkRows;
  };
  /// `isRagged`: the last tile may have fewer than `width` panels.
  MatrixProduct(KernelBuilder &kernel, int64_t width, bool isRagged, Blocking blocking);

  // Panels that are multiplied together.
  struct Walk {
    Values relative; // to the first panel of the tile
    Values absolute;
    Values weights; // address of k = 0
  };
  void forWalks(const MatrixOperand &matrix, Value firstPanel, Value panels,
                llvm::function_ref<void(const Walk &)> body);

  /// One row's sums of all slices, [slice][walk panel][16] at `sums`. Each starts from
  /// zeros and becomes addUnit(number of a unit, sum), a vector per panel of the walk.
  void storeSlicesOfRow(Value sums,
                        llvm::function_ref<Values(Value unitNumber, ValueRange sum)> addUnit);

  /// The tree over vectors that stand `stride` bytes apart, one per slice.
  Value sumOfSlices(Value address, int64_t stride);

  /// The sum of leaf(first), .., leaf(first + count - 1) as a balanced tree.
  Value sliceTree(llvm::function_ref<Value(int64_t slice)> leaf, int64_t first, int64_t count);

  KernelBuilder &kernel;
  const int64_t contraction, unit, slices, unitsPerSlice, panelBytes, width, walkPanels, chunkRows;
  const bool isGemv, mayClamp;
};

/// The product for the weights and inputs of `kernel.spec`. `areNeighbours`:
/// the input rows of a chunk stand inputRowBytes() apart.
std::unique_ptr<MatrixProduct> makeProduct(KernelBuilder &kernel, int64_t width, bool isRagged,
                                           bool areNeighbours);

} // namespace grok::compiler
