// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How far float32 arithmetic may be from the reference, op by op: first-order
// forward error analysis in the manner of Higham, "Accuracy and Stability of
// Numerical Algorithms", chapter 3. Sums use the depth of the order that the
// kernels keep (docs/numerics.md). A bf16 result may besides be one spacing off
// wherever its float32 value is uncertain, since it may then round otherwise.
#pragma once

#include "compiler/interpreter/Definitions.h"
#include "mlir/IR/BuiltinTypes.h"

#include <map>

namespace grok::verification {

/// Largest absolute error of each element; empty = exact.
using Bound = std::vector<float>;

/// The same for what one layer of the cache holds, by sequence.
struct SequenceBound {
  Bound keys, values; // as interpreter::SequenceCache; never empty
};
using CacheBound = std::vector<std::map<int64_t, SequenceBound>>; // by layer

/// The module's attribute that the bounds of products depend on.
inline constexpr char numericsName[] = "grok.numerics";

/// Unit roundoff of float32.
inline constexpr double roundoff = 0x1p-24;

/// The relative error of a sum in which no term passes more than `depth`
/// rounded operations.
double sumError(double depth);

/// Roundings between a product and the end of the sum, for a weight of this
/// type whose contraction axis has `contraction` elements.
double sumDepth(mlir::RankedTensorType weight, int64_t contraction);

/// What rounding `result` to its element type adds to its bound.
void addRounding(Bound &bound, const interpreter::Tensor &result, interpreter::Rounding rounding);

// Row by row.
Bound boundNorm(const interpreter::Tensor &x, const Bound &xBound, const interpreter::Matrix &scale,
                double eps, const interpreter::Tensor &result);
Bound boundRope(const interpreter::Tensor &x, const Bound &xBound, const interpreter::Step &step,
                int64_t headDim);
Bound boundGeluGate(const interpreter::Tensor &gate, const Bound &gateBound,
                    const interpreter::Tensor &up, const Bound &upBound,
                    const interpreter::Tensor &result);
Bound boundAdd(const Bound &lhs, const Bound &rhs, const interpreter::Tensor &result);
Bound boundCombine(const interpreter::Tensor &x, const Bound &xBound,
                   const interpreter::Tensor &gates, const interpreter::Tensor &result);

// Products with a weight that is read rounded to `weights`.
Bound boundLinear(const interpreter::Tensor &x, const Bound &xBound,
                  const interpreter::Matrix &matrix, interpreter::Rounding weights, double depth);
Bound boundExperts(const interpreter::Tensor &x, const Bound &xBound,
                   const interpreter::Matrix &matrices, const interpreter::Indices &experts,
                   interpreter::Rounding weights, double depth);
/// Before the multiplier.
Bound boundUnembed(const interpreter::Tensor &x, const interpreter::Matrix &table,
                   interpreter::Rounding weights, double depth);

/// The router's probabilities of all experts [T, X], and how far each may be
/// off, relative to itself, in each row.
struct RouterBound {
  std::vector<double> probabilities;
  std::vector<double> relative; // [T]
};
RouterBound boundRoute(const interpreter::Tensor &x, const interpreter::Matrix &router);

// Over the cache.
void boundCacheWrite(CacheBound::value_type &layer, const interpreter::Cache::Layer &written,
                     const interpreter::Tensor &keys, const Bound &keyBound,
                     const Bound &valueBound, const interpreter::Step &step,
                     interpreter::Rounding rounding);
/// Of `x` with each group of `groupLength` rounded to codes of 8 bits.
Bound boundQuantized(const interpreter::Tensor &x, const Bound &xBound, int64_t groupLength,
                     interpreter::CodeForm form = interpreter::CodeForm::int8);
Bound boundAttention(const interpreter::Tensor &query, const interpreter::Cache::Layer &cache,
                     const CacheBound::value_type &cacheBound, const interpreter::Step &step,
                     const interpreter::AttentionParameters &parameters,
                     interpreter::Rounding rounding);

} // namespace grok::verification
