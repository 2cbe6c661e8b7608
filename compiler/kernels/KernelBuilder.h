// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The frame of one kernel function: operands and step fields of the kernel ABI
// (runtime/plan/KernelABI.h), scratch memory, and the loop over tiles.
#pragma once

#include "compiler/kernels/TileShape.h"
#include "compiler/kernels/VectorBuilder.h"
#include "mlir/IR/BuiltinOps.h"

namespace grok::compiler {

/// `count` rounded up to whole panels, in columns: the row stride of a buffer.
constexpr int64_t paddedColumns(int64_t count) {
  return (count + panelColumns - 1) / panelColumns * panelColumns;
}
constexpr int64_t panelsOf(int64_t columns) { return paddedColumns(columns) / panelColumns; }

/// Bytes of one padded row of float32.
constexpr int64_t rowBytes(int64_t columns) { return paddedColumns(columns) * 4; }

/// Adds a function named `symbol` to `module` and emits its body.
class KernelBuilder : public VectorBuilder {
public:
  KernelBuilder(mlir::ModuleOp module, llvm::StringRef symbol, const KernelSpec &spec,
                const TileShape &tiles);

  const KernelSpec &spec;
  const TileShape &tiles;

  // GrokStepInfo
  Value rows, tokens, positions, sequences, pageTable, pageTableStride, logitRows, logitRow;

  /// Address of the launch operand at `position`.
  Value operand(int64_t position) const { return operands[position]; }

  /// A fresh, 64-byte aligned part of the worker's scratch memory.
  Value scratch(int64_t bytes);
  int64_t scratchBytes() const { return usedScratch; }

  void forTiles(llvm::function_ref<void(Value tile)> body);

private:
  Values operands;
  Value begin, end, scratchBase;
  int64_t usedScratch = 0;
};

} // namespace grok::compiler
