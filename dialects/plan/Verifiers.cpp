// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Invariants of the plan dialect's attributes and of its small ops.
#include "dialects/plan/PlanDialect.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace grok::plan;

LogicalResult TilesAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t perRow,
                                int64_t perLogitRow, int64_t constant, int64_t operand,
                                int64_t element, int64_t max) {
  if (max < 1)
    return emitError() << "expects max >= 1, got " << max;
  if (perRow < 0 || perLogitRow < 0 || constant < 0 || operand < -1 || element < 0)
    return emitError() << "expects no negative number";
  bool counted = perRow > 0 || perLogitRow > 0 || constant > 0;
  if (counted == (operand >= 0))
    return emitError() << "expects either a count (per_row, per_logit_row, constant) or an operand";
  if (element > 0 && operand < 0)
    return emitError() << "expects an operand for element " << element;
  return success();
}

LogicalResult MachineAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringAttr name,
                                  int64_t devices, int64_t memory, FloatAttr read,
                                  DictionaryAttr peak, FloatAttr linkLatency, FloatAttr linkRate) {
  if (devices < 1 || memory < 1)
    return emitError() << "expects at least one device and one byte of memory";
  if (!(read.getValueAsDouble() > 0))
    return emitError() << "expects a positive read rate";
  if (!(linkLatency.getValueAsDouble() >= 0) || !(linkRate.getValueAsDouble() >= 0))
    return emitError() << "expects no negative link_latency or link_rate";
  for (NamedAttribute entry : peak) {
    auto rate = dyn_cast<FloatAttr>(entry.getValue());
    if (!rate || !(rate.getValueAsDouble() > 0))
      return emitError() << "expects peak " << entry.getName() << " to be a positive float";
  }
  return success();
}

LogicalResult KernelOp::verify() {
  if (getOp().empty())
    return emitOpError("expects the name of an op");
  if (getNumOperands() < 1)
    return emitOpError("expects at least one operand, got ") << getNumOperands();
  return success();
}

LogicalResult LayoutOp::verifyRegions() {
  for (Operation &op : getBody().front())
    if (!isa<TensorOp>(op))
      return op.emitOpError("does not belong in a plan.layout; expects plan.tensor");
  return success();
}

LogicalResult ProgramOp::verifyRegions() {
  int64_t previous = 0;
  for (Operation &op : getBody().front()) {
    auto bucket = dyn_cast<BucketOp>(op);
    if (!bucket)
      return op.emitOpError("does not belong in a plan.program; expects plan.bucket");
    if (int64_t(bucket.getMaxRows()) <= previous)
      return bucket.emitOpError("expects more rows than the bucket before it, which has ")
             << previous;
    previous = bucket.getMaxRows();
  }
  if (previous == 0)
    return emitOpError("expects at least one plan.bucket");
  return success();
}

/// No two kernels beside the program may have one specification: they would be
/// generated twice.
LogicalResult ProgramOp::verifySymbolUses(SymbolTableCollection &) {
  llvm::DenseMap<std::pair<Attribute, Attribute>, KernelOp> kernels;
  for (KernelOp kernel : (*this)->getBlock()->getOps<KernelOp>()) {
    auto [entry, isNew] = kernels.try_emplace({kernel.getOpAttr(), kernel.getParamsAttr()}, kernel);
    if (!isNew) {
      auto diagnostic = kernel.emitOpError("has the specification of another kernel");
      diagnostic.attachNote(entry->second.getLoc()) << "the other kernel";
      return diagnostic;
    }
  }
  return success();
}

LogicalResult BufferOp::verify() {
  if (getName().empty())
    return emitOpError("expects a name");
  if (getOffset() && (int64_t(*getOffset()) < 0 || *getOffset() % bufferAlignment != 0))
    return emitOpError("expects an offset that is a multiple of ")
           << bufferAlignment << ", got " << int64_t(*getOffset());
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto tensor = symbols.lookupNearestSymbolFrom<TensorOp>(*this, getTensor());
  if (!tensor)
    return emitOpError("names ") << getTensor() << ", which is no plan.tensor of a layout";
  if (tensor.getType() != getResult().getType().getTensor())
    return emitOpError("expects the type of its tensor, ") << tensor.getType();
  return success();
}

LogicalResult KVOp::verify() {
  if (int64_t(getLayer()) < 0)
    return emitOpError("expects a layer >= 0");
  BufferType type = getResult().getType();
  if (type.isPerRow())
    return emitOpError("expects a type without rows: the bytes of one layer of a page");
  auto module = (*this)->getParentOfType<ModuleOp>();
  auto page = module ? module->getAttrOfType<DictionaryAttr>("plan.page") : DictionaryAttr();
  auto layerBytes = page ? page.getAs<IntegerAttr>("layer_bytes") : IntegerAttr();
  auto bytes = page ? page.getAs<IntegerAttr>("bytes") : IntegerAttr();
  if (!layerBytes || !bytes || layerBytes.getInt() < 1)
    return success();
  if (type.getBytes(1) != layerBytes.getInt())
    return emitOpError("expects layer_bytes of plan.page, ")
           << layerBytes.getInt() << ", got " << type.getBytes(1);
  if (int64_t(getLayer()) >= bytes.getInt() / layerBytes.getInt())
    return emitOpError("names layer ")
           << getLayer() << "; plan.page has " << bytes.getInt() / layerBytes.getInt();
  return success();
}

LogicalResult CopyOp::verify() {
  if (getSource() == getTarget())
    return emitOpError("expects two buffers");
  if (getTarget().getDefiningOp<WeightOp>())
    return emitOpError("writes a weight");
  return success();
}

/// Elements of one row, padding included.
static int64_t elementsOfRow(Value rows) {
  return ShapedType::getNumElements(
      cast<BufferType>(rows.getType()).getTensor().getShape().drop_front());
}

static Type elementOf(Value rows) {
  return cast<BufferType>(rows.getType()).getTensor().getElementType();
}

static LogicalResult verifyReduction(CollectiveOp op) {
  Value source = op.getSource(), target = op.getTarget();
  if (op.getKind() == "all_reduce") {
    if (source.getType() != target.getType() || !elementOf(source).isF32())
      return op.emitOpError("expects two buffers of one type with float32 rows");
    return success();
  }
  if (elementOf(source) != elementOf(target) || elementsOfRow(target) < 2 * elementsOfRow(source))
    return op.emitOpError("expects target rows of at least two source rows, of one element type");
  return success();
}

LogicalResult CollectiveOp::verify() {
  bool sends = getKind() == "send", receives = getKind() == "receive";
  bool reduces = getKind() == "all_reduce" || getKind() == "all_gather";
  if (!sends && !receives && !reduces)
    return emitOpError("expects kind all_gather, all_reduce, send or receive, got '")
           << getKind() << "'";
  if (bool(getSource()) == receives || bool(getTarget()) == sends)
    return emitOpError("expects ") << (reduces    ? "a source and a target"
                                       : receives ? "a target, and no source"
                                                  : "a source, and no target");
  for (Value operand : getOperands())
    if (!cast<BufferType>(operand.getType()).isPerRow())
      return emitOpError("expects buffers of rows");
  llvm::DenseSet<Attribute> axes;
  for (auto axis : getOver().getAsRange<StringAttr>()) {
    bool isKnown = reduces ? axis == "tp" || axis == "ep" : axis == "pp";
    if (!isKnown || !axes.insert(axis).second)
      return emitOpError("expects to go over ")
             << (reduces ? "tp, ep or both" : "pp") << ", got " << getOver();
  }
  if (axes.empty())
    return emitOpError("expects an axis to go over");
  return reduces ? verifyReduction(*this) : success();
}
