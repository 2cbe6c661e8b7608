// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/KernelBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace grok::compiler {

using namespace mlir;

KernelBuilder::KernelBuilder(ModuleOp module, StringRef symbol, const KernelSpec &spec,
                             const TileShape &tiles)
    : VectorBuilder(module.getContext(), tiles.hasFma), spec(spec), tiles(tiles) {
  ops.setInsertionPointToEnd(module.getBody());
  auto type = ops.getFunctionType({pointer, pointer, i64, i64, pointer}, {});
  auto function = func::FuncOp::create(ops, location, symbol, type);
  Block *entryBlock = function.addEntryBlock();
  ops.setInsertionPointToStart(entryBlock);
  func::ReturnOp::create(ops, location);
  ops.setInsertionPointToStart(entryBlock);

  Value buffers = entryBlock->getArgument(0), step = entryBlock->getArgument(1);
  begin = entryBlock->getArgument(2);
  end = entryBlock->getArgument(3);
  scratchBase = entryBlock->getArgument(4);
  for (int64_t i = 0; i < operandCount(spec); ++i)
    operands.push_back(load(pointer, offset(buffers, 8 * i)));
  // In the order and at the offsets of GrokStepInfo. Loaded here because no
  // optimiser could move them over the stores of the body; unused ones vanish.
  Value *const fields[] = {&rows,      &tokens,          &positions, &sequences,
                           &pageTable, &pageTableStride, &logitRows, &logitRow};
  const bool isCount[] = {true, false, false, false, false, true, true, false};
  for (int64_t i = 0; i < 8; ++i)
    *fields[i] = load(isCount[i] ? i64 : pointer, offset(step, 8 * i));
}

Value KernelBuilder::scratch(int64_t bytes) {
  int64_t at = usedScratch;
  usedScratch += (bytes + 63) / 64 * 64;
  return offset(scratchBase, at);
}

void KernelBuilder::forTiles(llvm::function_ref<void(Value)> body) { loop(begin, end, 1, body); }

} // namespace grok::compiler
