// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The plain grok ops by definition (specification section 3). Sums of products
// run in double from the first term to the last and are rounded to float32 once:
// the reference that kernels are measured against must not have an error of its
// own. Everything else is float32 as the specification has it. Results are
// rounded to the op's element type (`rounding`). No function here depends on
// the number of threads.
#pragma once

#include "compiler/interpreter/Values.h"

#include "mlir/IR/Types.h"

#include <optional>

namespace grok::interpreter {

Tensor dequantize(const Matrix &codes, Rounding rounding);

/// What stands for a group's largest number, and what lies between: integers of 8
/// bits up to 127, of 15 bits up to 16,319 (dialects/plan/QuantizedRow.h), or the numbers of e4m3
/// (OCP 8-bit floating point specification) up to 448.
enum class CodeForm { int8, e4m3, int15 };
/// Of a cache with this element type, none of a float cache.
std::optional<CodeForm> codeFormOf(mlir::Type cacheElement);
double largestCode(CodeForm form);
/// The nearest code, ties to even, of a number that is at most as large.
double roundToCode(double x, CodeForm form);

/// Each group of `groupLength` neighbours of a row rounded to codes of 8 bits.
Tensor quantize(const Tensor &x, int64_t groupLength, CodeForm form = CodeForm::int8);

/// A row of zeros where the token is -1. Fails on a token outside the table.
Result<Tensor> embed(const Indices &tokens, const Matrix &table, double multiplier,
                     Rounding rounding);

Tensor rmsNorm(const Tensor &x, const Matrix &scale, double eps, Rounding rounding);

/// The matrix is read rounded to `weights`.
Tensor linear(const Tensor &x, const Matrix &matrix, Rounding weights, Rounding rounding);

Tensor rope(const Tensor &x, const Step &step, int64_t headDim, double base, Rounding rounding);

/// `rounding` is the cache's element type.
Cache writeCache(const Cache &cache, const Tensor &keys, const Tensor &values,
                 const Indices &tokens, const Step &step, int64_t layer, Rounding rounding);

struct AttentionParameters {
  int64_t layer;
  int64_t kvHeads;
  int64_t headDim;
  double multiplier;
  double softcap;
};

/// A row that may see no key gives equal weight to the positions up to its own.
/// Fails if a row's position was never written.
Result<Tensor> attention(const Tensor &query, const Cache &cache, const Step &step,
                         const AttentionParameters &parameters, Rounding rounding);

struct Routing {
  Tensor gates;    // [T, k]
  Indices experts; // [T, k], most probable first
};

Routing route(const Tensor &x, const Matrix &router, int64_t selected);

/// `x` is [T, in] or [T, k, in]. Zeros for an expert of -1. Fails on an expert
/// that does not exist.
Result<Tensor> multiplyExperts(const Tensor &x, const Matrix &matrices, const Indices &experts,
                               Rounding weights, Rounding rounding);

Tensor geluGate(const Tensor &gate, const Tensor &up);

/// Leaves out an expert of -1.
Tensor combine(const Tensor &x, const Tensor &gates, const Indices &experts, Rounding rounding);

Tensor add(const Tensor &lhs, const Tensor &rhs, Rounding rounding);

/// The first `columns` of every row.
Tensor cutColumns(const Tensor &x, int64_t columns);

Tensor logitRows(const Tensor &x, const Step &step);

Tensor unembed(const Tensor &x, const Matrix &table, double multiplier, Rounding rounding);

} // namespace grok::interpreter
