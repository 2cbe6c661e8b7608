// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The grok dialect: types, attributes, interfaces and ops.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Shard/IR/ShardDialect.h"
#include "mlir/Dialect/Shard/Interfaces/ShardingInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace grok {

/// What one op moves and computes in one step. Bytes are counted once per step
/// and op; experts count as many matrices as the rows can select.
struct Cost {
  int64_t weightBytes = 0;     // codes and scales
  int64_t activationBytes = 0; // operands and results
  int64_t cacheBytes = 0;      // keys and values read and written
  int64_t flops = 0;           // a multiply-add counts as two
};

/// The `shard.grid` of one stage's ranks. Axis 0 is ep; the others make up tp.
inline constexpr llvm::StringLiteral ranksGrid = "ranks";

/// Whether `type` can hold a weight: a static ranked tensor, of f32 or bf16
/// values without encoding or of i8 codes under a FormatAttr.
bool isWeightType(mlir::Type type);

} // namespace grok

#include "dialects/grok/GrokDialect.h.inc"

#include "dialects/grok/GrokInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/grok/GrokAttributes.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/grok/GrokTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/grok/GrokOps.h.inc"
