// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Short names for the operations that kernels are made of: arithmetic on
// scalars and on vectors of 16, memory by byte offset, loops. No operation
// carries a fast-math flag, so the order written is the order executed.
#pragma once

#include "compiler/kernels/KernelSpec.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace grok::compiler {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
using Values = llvm::SmallVector<Value, 16>;

/// Emits at the insertion point of `ops`. Binary operations take scalars or
/// vectors of equal type, integer or float.
class VectorBuilder {
public:
  static constexpr int64_t lanes = panelColumns;

  VectorBuilder(mlir::MLIRContext *context, bool hasFma);

  // ---- types
  Type i8, i16, i32, i64, f32, pointer;
  mlir::VectorType floats; // vector<16xf32>
  mlir::VectorType words;  // vector<16xi32>
  mlir::VectorType vectorOf(Type element, int64_t count) const;

  // ---- constants
  Value index(int64_t value); // i64, the type of all counts and offsets
  Value bit(bool value);      // i1
  Value word(int32_t value);
  Value number(float value);
  Value splat(float value);
  Value splat(int32_t value);
  /// `value` in the type of `like`: f32 or a vector of it, i32 or a vector.
  Value constantLike(Value like, double value);

  // ---- arithmetic
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b);
  Value div(Value a, Value b);         // float
  Value quotient(Value a, int64_t b);  // a >= 0
  Value remainder(Value a, int64_t b); // a >= 0
  /// a * b + c: one rounding where the target has FMA, two elsewhere.
  Value multiplyAdd(Value a, Value b, Value c);
  Value negate(Value a);
  Value sqrt(Value a);
  Value roundToEven(Value a);      // float to integral float
  Value minimum(Value a, Value b); // integers
  Value maximum(Value a, Value b); // floats: a > b ? a : b
  Value bitAnd(Value a, Value b);
  Value bitOr(Value a, Value b);
  Value bitXor(Value a, Value b);
  Value shiftLeft(Value a, int32_t bits);
  Value shiftRight(Value a, int32_t bits); // logical
  Value shiftRightSigned(Value a, int32_t bits);
  Value absolute(Value a); // integers; the least one stays as it is

  // ---- instructions
  /// One of LLVM's intrinsic functions, without its prefix "llvm.".
  Value intrinsic(llvm::StringRef name, Type result, ValueRange arguments);
  void intrinsic(llvm::StringRef name, ValueRange arguments);

  // ---- comparison
  Value less(Value a, Value b);
  Value equal(Value a, Value b);
  Value isNan(Value a);
  Value both(Value a, Value b);
  Value select(Value condition, Value a, Value b);

  // ---- conversion
  Value widen(Value a, Type to); // sign-extends
  Value widenUnsigned(Value a, Type to);
  Value narrow(Value a, Type to);
  Value toFloat(Value a);   // i32 -> f32
  Value toInteger(Value a); // f32 -> i32
  Value bitsOf(Value a);    // f32 -> i32, same bits
  Value fromBits(Value a);  // i32 -> f32, same bits

  // ---- lanes
  Value broadcast(Value scalar, int64_t count = lanes);
  Value extract(Value vector, int64_t lane);
  Value laneNumbers(); // vector<16xi32> 0, 1, ..
  Value shuffle(Value a, Value b, llvm::ArrayRef<int64_t> mask);
  Value bitCast(Value vector, mlir::VectorType to);
  /// Part `number` of `count` equal parts, and all parts as one vector again.
  Value part(Value vector, int64_t number, int64_t count);
  Value joined(ValueRange parts);

  // ---- memory
  Value offset(Value base, Value bytes);
  Value offset(Value base, int64_t bytes);
  /// base + row * stride, in bytes.
  Value rowAddress(Value base, Value row, int64_t stride);
  Value load(Type type, Value address, int64_t alignment = 0);
  void store(Value value, Value address, int64_t alignment = 0);
  /// A scalar int32 as a 64-bit count; row `row` of an array of them.
  Value loadIndex(Value address);
  Value entry(Value array, Value row);
  void prefetch(Value address);

  // ---- control
  void loop(Value lower, Value upper, int64_t step, llvm::function_ref<void(Value)> body);
  Values loop(Value lower, Value upper, int64_t step, ValueRange initial,
              llvm::function_ref<Values(Value, ValueRange)> body);
  Values loop(Value lower, Value upper, Value step, ValueRange initial,
              llvm::function_ref<Values(Value, ValueRange)> body);
  void when(Value condition, llvm::function_ref<void()> then,
            llvm::function_ref<void()> otherwise = nullptr);

protected:
  mlir::OpBuilder ops;
  mlir::Location location;
  bool hasFma;
};

} // namespace grok::compiler
