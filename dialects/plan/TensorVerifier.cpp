// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Invariants of packed tensors: the type is what the packing makes of the
// logical shape.
#include "dialects/plan/PlanDialect.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok::plan;

/// Columns of one panel.
static constexpr int64_t panelColumns = 16;

/// Bounds every number of a tensor, so that products of two cannot overflow.
static constexpr int64_t dimensionLimit = int64_t(1) << 31;

static int64_t countPanels(int64_t columns, int64_t group) {
  return columns / group * llvm::divideCeil(group, panelColumns);
}

static LogicalResult expectShape(TensorOp op, ArrayRef<int64_t> expected) {
  auto type = cast<RankedTensorType>(op.getType());
  if (type.getShape() == expected)
    return success();
  auto diagnostic = op.emitOpError("expects shape ");
  llvm::interleave(expected, diagnostic, "x");
  return diagnostic << " of packing '" << op.getPacking() << "', got " << type;
}

/// The columns padded to 16 together.
static int64_t columnGroupOf(TensorOp op, int64_t columns) {
  return op.getColumnGroup() == 0 ? columns : op.getColumnGroup();
}

static LogicalResult verifyColumnGroup(TensorOp op, int64_t columns) {
  int64_t group = columnGroupOf(op, columns);
  if (group < 1 || columns % group != 0)
    return op.emitOpError("expects column_group to divide the ")
           << columns << " columns, got " << group;
  return success();
}

/// The order of sums must cut whole units out of slices and row groups.
static LogicalResult verifySumOrder(TensorOp op, int64_t inputs, int64_t packedInputs) {
  int64_t slices = op.getSlices(), groups = op.getRowGroups(), unit = op.getUnit();
  if (slices < 1 || !llvm::isPowerOf2_64(slices) || inputs % slices != 0)
    return op.emitOpError("expects slices to be a power of two that divides the ")
           << inputs << " inputs, got " << slices;
  if (groups < 1 || inputs % groups != 0)
    return op.emitOpError("expects row_groups to divide the ")
           << inputs << " inputs, got " << groups;
  if (unit < 1 || inputs / slices % unit != 0 || inputs / groups % unit != 0)
    return op.emitOpError("expects a unit that divides slices and row groups, got ") << unit;
  if (unit % packedInputs != 0)
    return op.emitOpError("packs ")
           << packedInputs << " inputs together, which do not divide the unit " << unit;
  return success();
}

/// The extents that packing does not change: of the experts, if there are any.
static SmallVector<int64_t> expertExtents(TensorOp op) {
  SmallVector<int64_t> extents;
  if (op.getLogical().size() == 3)
    extents.push_back(op.getExperts() ? int64_t(op.getExperts()->size()) : op.getLogical().front());
  return extents;
}

/// Some of the tensor's experts, each once.
static LogicalResult verifyExperts(TensorOp op) {
  if (!op.getExperts())
    return success();
  ArrayRef<int64_t> experts = *op.getExperts();
  bool areOf = op.getLogical().size() == 3 || op.getPacking() == "slots";
  if (!areOf || experts.empty() || experts.front() < 0 ||
      experts.back() >= op.getLogical().front() ||
      !llvm::is_sorted(experts, std::less_equal<int64_t>()))
    return op.emitOpError("expects experts to be some of those of its logical shape, ascending");
  return success();
}

/// Inputs that `packing` keeps together, or 0 if it is not "panel16.k1|2|4".
static int64_t packedInputsOf(StringRef packing) {
  return llvm::StringSwitch<int64_t>(packing)
      .Case("panel16.k1", 1)
      .Case("panel16.k2", 2)
      .Case("panel16.k4", 4)
      .Default(0);
}

namespace {
/// Inputs and columns of a matrix or of each expert's.
struct Extents {
  int64_t inputs = 0, columns = 0;
};
} // namespace

static FailureOr<Extents> extentsOf(TensorOp op) {
  ArrayRef<int64_t> logical = op.getLogical();
  if (logical.size() < 2 || logical.size() > 3 || (op.getTransposed() && logical.size() != 2))
    return op.emitOpError(
        "expects a logical matrix, or a matrix for each expert that is not transposed");
  Extents extents{logical[logical.size() - 2], logical.back()};
  if (op.getTransposed())
    std::swap(extents.inputs, extents.columns);
  return extents;
}

/// Bits and rows of a multiplier of "panel16.i4.g32" and its like, or nothing.
static std::optional<std::pair<int64_t, int64_t>> narrowCodesOf(StringRef packing) {
  using Codes = std::optional<std::pair<int64_t, int64_t>>;
  return llvm::StringSwitch<Codes>(packing)
      .Case("panel16.i4.g32", {{4, 32}})
      .Case("panel16.i4.g64", {{4, 64}})
      .Case("panel16.i3.g32", {{3, 32}})
      .Case("panel16.i3.g64", {{3, 64}})
      .Default(std::nullopt);
}

/// Codes of less than a byte: a panel is a run of bytes.
static LogicalResult verifyNarrowPanels(TensorOp op, int64_t bits, int64_t group) {
  FailureOr<Extents> extents = extentsOf(op);
  if (failed(extents) || failed(verifyColumnGroup(op, extents->columns)) ||
      failed(verifySumOrder(op, extents->inputs, /*packedInputs=*/4)))
    return failure();
  auto [inputs, columns] = *extents;
  if (inputs / op.getRowGroups() % group != 0)
    return op.emitOpError("expects row groups of whole multiplier groups of ")
           << group << " rows, got " << inputs / op.getRowGroups() << " rows";
  if (!cast<RankedTensorType>(op.getType()).getElementType().isInteger(8))
    return op.emitOpError("expects bytes (i8) for packing '") << op.getPacking() << "'";
  SmallVector<int64_t> shape = expertExtents(op);
  llvm::append_values(shape, countPanels(columns, columnGroupOf(op, columns)),
                      panelColumns * (inputs * bits / 8 + inputs / group));
  return expectShape(op, shape);
}

static LogicalResult verifyPanels(TensorOp op) {
  FailureOr<Extents> extents = extentsOf(op);
  if (failed(extents))
    return failure();
  auto [inputs, columns] = *extents;
  int64_t packed = packedInputsOf(op.getPacking());
  unsigned bits = cast<RankedTensorType>(op.getType()).getElementTypeBitWidth();
  if (packed != 1 && packed * bits != 32)
    return op.emitOpError("expects packing panel16.k1 or panel16.k")
           << 32 / bits << " for its elements";
  if (failed(verifyColumnGroup(op, columns)) || failed(verifySumOrder(op, inputs, packed)))
    return failure();
  SmallVector<int64_t> shape = expertExtents(op);
  llvm::append_values(shape, countPanels(columns, columnGroupOf(op, columns)), inputs / packed,
                      panelColumns, packed);
  return expectShape(op, shape);
}

static LogicalResult verifyScales(TensorOp op) {
  ArrayRef<int64_t> logical = op.getLogical();
  if (logical.size() < 2 || logical.size() > 3)
    return op.emitOpError(
        "expects logical scales [groups, columns], for each expert if there are several");
  int64_t columns = logical.back();
  if (failed(verifyColumnGroup(op, columns)))
    return failure();
  SmallVector<int64_t> shape = expertExtents(op);
  llvm::append_values(shape, logical[logical.size() - 2],
                      countPanels(columns, columnGroupOf(op, columns)) * panelColumns);
  return expectShape(op, shape);
}

LogicalResult TensorOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  auto emitError = [&] { return emitOpError("has a type that no buffer can hold: "); };
  if (type.getEncoding() || !type.hasStaticShape())
    return emitOpError("expects a static type without encoding, got ") << type;
  if (failed(BufferType::verify(emitError, type)))
    return failure();
  ArrayRef<int64_t> logical = getLogical();
  if (logical.empty() ||
      llvm::any_of(logical, [](int64_t size) { return size < 1 || size > dimensionLimit; }))
    return emitOpError("expects logical sizes of 1..") << dimensionLimit;
  if (getRopeBase().has_value() != (getPacking() == "rope"))
    return emitOpError("expects rope_base exactly with packing 'rope'");
  if (failed(verifyExperts(*this)))
    return failure();
  if (packedInputsOf(getPacking()) != 0)
    return verifyPanels(*this);
  if (auto codes = narrowCodesOf(getPacking()))
    return verifyNarrowPanels(*this, codes->first, codes->second);
  if (getPacking() == "scales16")
    return verifyScales(*this);
  if (getPacking() == "vector16" && logical.size() == 1)
    return expectShape(*this, {int64_t(llvm::alignTo(logical[0], panelColumns))});
  if (getPacking() == "rope" && logical.size() == 3)
    return expectShape(*this, logical);
  if (getPacking() == "first16" && logical.size() == 1 && type.getElementType().isInteger(32))
    return expectShape(*this, {panelColumns});
  if (getPacking() == "slots" && (getExperts() || getPart()) && logical.size() == 1 &&
      type.getElementType().isInteger(32))
    return expectShape(*this, logical);
  return emitOpError("has packing '")
         << getPacking() << "' with " << logical.size()
         << " logical sizes; expects panel16.k1|k2|k4, "
            "panel16.i4|i3.g32|g64, scales16, vector16, rope, first16 or slots";
}
