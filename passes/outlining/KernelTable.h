// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The kernels of a module, each specification once.
#pragma once

#include "dialects/plan/PlanDialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace grok::plan {

/// Collects the fields of a kernel's specification.
class KernelParams {
public:
  explicit KernelParams(mlir::MLIRContext *context) : builder(context) {}

  KernelParams &add(llvm::StringRef key, mlir::Attribute value) {
    fields.append(key, value);
    return *this;
  }
  KernelParams &add(llvm::StringRef key, int64_t value) {
    return add(key, builder.getI64IntegerAttr(value));
  }
  KernelParams &addNumber(llvm::StringRef key, double value) {
    return add(key, builder.getF64FloatAttr(value));
  }
  KernelParams &addText(llvm::StringRef key, llvm::StringRef value) {
    return add(key, builder.getStringAttr(value));
  }
  mlir::DictionaryAttr build() const { return fields.getDictionary(builder.getContext()); }

private:
  mlir::Builder builder;
  mlir::NamedAttrList fields;
};

/// Makes `plan.kernel` ops at the builder's insertion point: one for each pair
/// of op and specification, named by the op and a number ("linear_0").
class KernelTable {
public:
  explicit KernelTable(mlir::OpBuilder builder) : builder(builder) {}

  /// The symbol of the kernel; makes it on the first request.
  mlir::FlatSymbolRefAttr get(mlir::Location loc, llvm::StringRef op, mlir::DictionaryAttr params,
                              int64_t numOperands);

  int64_t size() const { return kernels.size(); }

private:
  mlir::OpBuilder builder;
  llvm::DenseMap<std::pair<mlir::Attribute, mlir::Attribute>, mlir::FlatSymbolRefAttr> kernels;
  llvm::StringMap<int64_t> count; // kernels of each op
};

} // namespace grok::plan
