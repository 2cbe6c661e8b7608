// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Invariants of the plan dialect's attributes and of single ops.
#include "dialects/plan/PlanDialect.h"

using namespace mlir;
using namespace grok::plan;

LogicalResult TilesAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t perRow,
                                int64_t perLogitRow, int64_t constant, int64_t operand,
                                int64_t element, int64_t max) {
  if (max < 1)
    return emitError() << "expects max >= 1, got " << max;
  return success();
}

LogicalResult MachineAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringAttr name,
                                  int64_t devices, int64_t memory, FloatAttr read,
                                  DictionaryAttr peak, FloatAttr linkLatency, FloatAttr linkRate) {
  if (devices < 1 || memory < 1)
    return emitError() << "expects at least one device and one byte of memory";
  return success();
}

LogicalResult KernelOp::verify() { return success(); }
LogicalResult TensorOp::verify() { return success(); }
LogicalResult ProgramOp::verify() { return success(); }
LogicalResult BucketOp::verify() { return success(); }
LogicalResult LaunchOp::verify() { return success(); }
LogicalResult CollectiveOp::verify() { return success(); }

void BufferOp::getAsmResultNames(OpAsmSetValueNameFn setName) { setName(getResult(), getName()); }
