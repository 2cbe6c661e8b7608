// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rules that several verifiers share. Each reports one error at `op` if broken.
#pragma once

#include "dialects/grok/GrokDialect.h"

namespace grok {

/// `value` has `rank` dimensions; `name` is the operand's name in the error.
mlir::LogicalResult checkRank(mlir::Operation *op, llvm::StringRef name, mlir::Value value,
                              int64_t rank);

/// Two extents agree; a dynamic one agrees with anything.
mlir::LogicalResult checkExtent(mlir::Operation *op, llvm::StringRef what, int64_t actual,
                                int64_t expected);

/// All values have as many rows (first dimension) as the first of them.
mlir::LogicalResult checkRows(mlir::Operation *op, mlir::ValueRange values);

/// x [T, in] . weight [in, out] -> result [T, out].
mlir::LogicalResult checkLinear(mlir::Operation *op, mlir::Value x, mlir::Value weight,
                                mlir::Value result);

/// x [T, in] or [T, k, in], weight [X, in, out], experts [T, k] -> [T, k, out].
mlir::LogicalResult checkExpertMatmul(mlir::Operation *op, mlir::Value x, mlir::Value weight,
                                      mlir::Value experts, mlir::Value result);

/// experts [T, k] with k >= 1.
mlir::LogicalResult checkSelected(mlir::Operation *op, mlir::Value experts);

/// A weight's type is the part of `full` that its slices name.
mlir::LogicalResult checkSlices(WeightOp op);

/// x [T, E] and scale [E]; eps positive and finite.
mlir::LogicalResult checkNorm(mlir::Operation *op, mlir::Value x, mlir::Value scale,
                              const llvm::APFloat &eps);

/// head_dim is positive, even and divides the columns of x [T, heads * D].
mlir::LogicalResult checkRope(mlir::Operation *op, mlir::Value x, int64_t headDim,
                              const llvm::APFloat &base);

/// 0 <= layer < layers of the cache.
mlir::LogicalResult checkLayer(mlir::Operation *op, CacheType cache, int64_t layer);

/// query [T, H * D] with H a multiple of the cache's kv heads, layer, cap.
mlir::LogicalResult checkAttention(mlir::Operation *op, mlir::Value query, CacheType cache,
                                   int64_t layer, const llvm::APFloat &multiplier,
                                   const llvm::APFloat &softcap);

/// The attribute is a finite number, and above zero if `positive`.
mlir::LogicalResult checkNumber(mlir::Operation *op, llvm::StringRef name,
                                const llvm::APFloat &value, bool positive);

/// Extent of dimension `index`; negative counts from the last one.
int64_t extentOf(mlir::Value value, int64_t index);

} // namespace grok
