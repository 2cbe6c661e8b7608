// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Registration of the plan dialect, its types and attributes, and the module's
// attributes.
#include "dialects/plan/PlanDialect.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok::plan;

#include "dialects/plan/PlanDialect.cpp.inc"

#include "dialects/plan/PlanEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/plan/PlanAttributes.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/plan/PlanTypes.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/plan/PlanAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/plan/PlanTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/plan/PlanOps.cpp.inc"
      >();
}

/// A module attribute of the plan: a positive integer of at most `limit`.
static LogicalResult verifyPositive(Operation *op, NamedAttribute attribute, int64_t limit) {
  auto value = dyn_cast<IntegerAttr>(attribute.getValue());
  if (!value || !value.getType().isSignlessInteger(64) || value.getInt() < 1 ||
      value.getInt() > limit)
    return op->emitOpError("expects ") << attribute.getName() << " to be an i64 of 1.." << limit;
  return success();
}

/// `plan.page`: what one page of the key/value cache holds.
static LogicalResult verifyPage(Operation *op, Attribute attribute) {
  auto page = dyn_cast<DictionaryAttr>(attribute);
  auto numberOf = [&](StringRef key) {
    auto number = page ? page.getAs<IntegerAttr>(key) : IntegerAttr();
    return number && number.getType().isSignlessInteger(64) ? number.getInt() : -1;
  };
  int64_t tokens = numberOf("tokens"), bytes = numberOf("bytes"),
          layerBytes = numberOf("layer_bytes");
  auto kv = page ? page.getAs<StringAttr>("kv") : StringAttr();
  if (tokens < 1 || bytes < 1 || layerBytes < 1 || !kv)
    return op->emitOpError("expects plan.page with i64 tokens, bytes and layer_bytes, and kv");
  if (layerBytes % bufferAlignment != 0 || bytes % layerBytes != 0)
    return op->emitOpError("expects plan.page bytes to be a multiple of layer_bytes, and that of ")
           << bufferAlignment;
  return success();
}

LogicalResult PlanDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  if (!isa<ModuleOp>(op))
    return op->emitOpError("does not expect ")
           << attribute.getName() << "; it belongs to the module";
  StringRef name = attribute.getName();
  constexpr int64_t int32Limit = 0x7fffffff; // the plan file's type
  if (name == "plan.max_context" || name == "plan.max_step_rows")
    return verifyPositive(op, attribute, int32Limit);
  if (name == "plan.page")
    return verifyPage(op, attribute.getValue());
  return op->emitOpError("does not know ") << attribute.getName();
}
