// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/ClusterSums.h"

namespace grok::compiler {

ClusterSums::ClusterSums(GpuBuilder &kernel, int64_t rows)
    : kernel(kernel), rows(rows), received(kernel.sharedMemory(2 * rows * panelColumns * 4)) {}

void ClusterSums::start() {
  turn = kernel.variable(kernel.index(0));
  kernel.meetCluster(); // both blocks are there
}

Value ClusterSums::placeOf(Value row, Value columnOfPanel) {
  Value number = kernel.add(kernel.mul(kernel.load(kernel.i64, turn), rows), row);
  return kernel.rowAddress(received, kernel.add(kernel.mul(number, panelColumns), columnOfPanel),
                           4);
}

void ClusterSums::give(Value sum, Value row, Value column, Value own) {
  Value panel = kernel.quotient(column, panelColumns);
  kernel.when(
      kernel.equal(panel, kernel.rank), [&] { kernel.store(sum, own); },
      [&] {
        Value place = placeOf(row, kernel.remainder(column, panelColumns));
        kernel.store(sum, kernel.sharedOf(panel, place));
      });
}

void ClusterSums::add(llvm::function_ref<Value(Value, Value)> resultAt) {
  kernel.meetCluster();
  kernel.forThreads(rows * panelColumns, [&](Value at) {
    Value row = kernel.quotient(at, panelColumns), column = kernel.remainder(at, panelColumns);
    Value other = kernel.load(kernel.f32, placeOf(row, column));
    Value result = resultAt(row, kernel.add(kernel.mul(kernel.rank, panelColumns), column));
    kernel.store(kernel.add(kernel.load(kernel.f32, result), other), result);
  });
  kernel.store(kernel.bitXor(kernel.load(kernel.i64, turn), kernel.index(1)), turn);
}

} // namespace grok::compiler
