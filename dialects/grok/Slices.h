// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Types of the parts that ranks hold of a tensor.
#pragma once

#include "dialects/grok/GrokDialect.h"

namespace grok {

/// Extent of each of `parts` equal parts: extent / parts, or, where that leaves a
/// rest, the next multiple of 16. A dynamic extent stays dynamic.
int64_t partExtent(int64_t extent, int64_t parts);

/// The format of a part of `length` positions of a contraction axis of
/// `fullLength`. No row group of a part crosses a group of the whole: it is the
/// part where the whole is one group, else their greatest common divisor.
FormatAttr partFormat(FormatAttr whole, int64_t fullLength, int64_t length);

/// The type of a part of `whole` with dimension `d` cut into `parts[d]`. Fails
/// with one error where the parts' experts differ in their formats: all ranks
/// run one program.
mlir::FailureOr<mlir::RankedTensorType>
partType(mlir::RankedTensorType whole, llvm::ArrayRef<int64_t> parts,
         llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

} // namespace grok
