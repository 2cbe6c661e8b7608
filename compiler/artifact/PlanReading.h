// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the writers and the kernel generators take from a plan module.
#pragma once

#include "compiler/artifact/PackedTensor.h"
#include "compiler/kernels/KernelSpec.h"

#include "mlir/IR/BuiltinOps.h"

namespace grok::plan {
class KernelOp;
class LayoutOp;
} // namespace grok::plan

namespace grok::compiler {

/// The specification that a `plan.kernel` carries. Fails, with a diagnostic on
/// the op, on a parameter that no kernel knows.
mlir::FailureOr<KernelSpec> readKernelSpec(plan::KernelOp kernel);

/// The tensors of a layout in order, offsets not placed yet.
mlir::FailureOr<std::vector<PackedTensor>> readLayout(plan::LayoutOp layout);

} // namespace grok::compiler
