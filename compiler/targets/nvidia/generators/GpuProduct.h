// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of activations times panels of packed weights, by one block: the inside of
// every matrix kernel on GPUs, and the only place there where the order of sums is
// made (docs/numerics.md).
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/nvidia/generators/GpuBuilder.h"

#include <functional>
#include <memory>

namespace grok::compiler {

/// One panel of a packed matrix. Only lanes of it that hold columns are wanted.
struct GpuPanel {
  Value weights;      // address of its first byte
  Value scales;       // address of its first column's bf16 scale in row group 0; integers only
  Value scaleColumns; // between row groups
};

/// What a block multiplies by one after the other, known ahead of the products. A cursor
/// is a few counts.
struct PanelSequence {
  Values first;
  std::function<Value(ValueRange cursor)> isValid; // whether there is such a product
  /// Of valid cursors only.
  std::function<Values(ValueRange cursor)> next;
  std::function<GpuPanel(ValueRange cursor, Value slot)> panel;
};

/// Sums of a slice meet in shared memory, where they are added as the tree
/// ((0+1)+(2+3))+...; a row's sums never depend on other rows, nor on their number.
class GpuProduct {
public:
  virtual ~GpuProduct() = default;

  /// body(first row, number of rows) for chunks of at most chunkRows.
  void forChunks(Value rows, llvm::function_ref<void(Value first, Value count)> body);
  Value chunksOf(Value rows) { return kernel.quotient(kernel.add(rows, chunkRows - 1), chunkRows); }
  /// Rows of chunk number `chunk` out of `rows`.
  Value rowsOfChunk(Value rows, Value chunk);

  /// Bytes from one input row to the next: float32 rows, or quantised ones.
  int64_t inputRowBytes() const;

  /// The panel of a slot, which is 0..slots-1 and may differ between threads.
  using PanelSource = llvm::function_ref<GpuPanel(Value slot)>;
  /// Address of a row of the chunk.
  using RowInput = llvm::function_ref<Value(Value row)>;

  /// Before the first product: the panels of all calls of compute(), in their order.
  /// Lets weights move before they are used; called by all threads of the block.
  virtual void announce(const PanelSequence &) {}
  /// After the last product of what was announced.
  virtual void finish() {}

  /// Of blocks that take `tiles` tiles in turn, with one product each.
  PanelSequence sequenceOfTiles(Value tiles,
                                std::function<GpuPanel(Value tile, Value slot)> panel) const;

  /// Multiplies `rows` rows (at least 1, at most chunkRows) by the panels of all
  /// slots. All threads of the block call it; afterwards all may read result().
  virtual void compute(PanelSource source, Value rows, RowInput input) = 0;

  /// Of `column` 0..15 of `slot`: position slot * 16 + column.
  Value result(Value row, Value position) const;
  Value resultRow(Value row) const { return kernel.rowAddress(results, row, resultColumns * 4); }

  /// `bytes` of shared memory that hold what is written until the next compute().
  virtual Value spareMemory(int64_t bytes) { return kernel.sharedMemory(bytes); }

  /// body(row, column) for all results of `rows` rows, each by one thread.
  /// Of blocks in a cluster each has its own, the same ones of every product.
  virtual void forResults(Value rows, llvm::function_ref<void(Value row, Value position)> body);

  const int64_t chunkRows;

protected:
  /// Results stand in rows of `resultColumns`; by default no more than slots have.
  GpuProduct(GpuBuilder &kernel, int64_t slots, int64_t chunkRows, int64_t resultColumns = 0);

  /// Stores the addresses of the chunk's rows in shared memory, for all threads behind the next
  /// barrier; rows behind the last one are the last one.
  void storeAddresses(Value rows, RowInput input, Value table) const;
  Value addressAt(Value table, Value row) const {
    return kernel.load(kernel.pointer, kernel.rowAddress(table, row, 8), 8);
  }

  /// The sum of leaf(0), .., leaf(slices - 1) as a balanced tree; or of as many parts of
  /// the tree as there are.
  Value sumOfSlices(llvm::function_ref<Value(int64_t slice)> leaf);
  Value sumOfParts(int64_t parts, llvm::function_ref<Value(int64_t part)> leaf);
  /// Four neighbouring columns' scales, or one's, of a row group as float32.
  Values columnScales(const GpuPanel &panel, Value group, Value column, int64_t count);

  GpuBuilder &kernel;
  const WeightFormat format;
  const int64_t slots, contraction, unit, slices, unitsPerSlice, panelBytes;
  const bool scalesUnits; // slices cross row groups
  const int64_t resultColumns;
  Value results; // float32 [chunkRows][resultColumns], shared
};

/// The product for the weights and inputs of `kernel.spec`, of `slots` panels.
std::unique_ptr<GpuProduct> makeGpuProduct(GpuBuilder &kernel, int64_t slots);

/// Threads of a block of a kernel that multiplies by the weights of `spec`.
int64_t productThreads(const KernelSpec &spec, const NvidiaChip &chip, int64_t clusterBlocks = 1);

/// Blocks that had best share a tile of such a kernel, as a cluster.
int64_t productClusterBlocks(const KernelSpec &spec, const NvidiaChip &chip);

/// Panels that such a kernel multiplies at once: more slots take turns.
int64_t productPanels(const KernelSpec &spec, const NvidiaChip &chip);

} // namespace grok::compiler
