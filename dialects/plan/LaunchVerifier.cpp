// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Invariants of one launch: that tiles are counted, that operands are used as
// their kind allows, and that no two tiles race.
#include "dialects/plan/LaunchRules.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace grok::plan;

/// The count's affine form must stay below its maximum in the largest step.
static LogicalResult verifyCount(LaunchOp op) {
  TilesAttr tiles = op.getTiles();
  auto rows = int64_t(cast<BucketOp>(op->getParentOp()).getMaxRows());
  int64_t perRow, count;
  bool overflow = llvm::AddOverflow(tiles.getPerRow(), tiles.getPerLogitRow(), perRow) ||
                  llvm::MulOverflow(perRow, rows, count) ||
                  llvm::AddOverflow(count, tiles.getConstant(), count);
  if (overflow || count > tiles.getMax())
    return op.emitOpError("has more tiles at ") << rows << " rows than its max, " << tiles.getMax();
  return success();
}

/// A count that stands in memory must be an int32 that every worker may read.
static LogicalResult verifyCountOperand(LaunchOp op) {
  TilesAttr tiles = op.getTiles();
  if (tiles.getOperand() < 0)
    return success();
  if (tiles.getOperand() >= int64_t(op.getOperands().size()))
    return op.emitOpError("takes its tile count from operand ")
           << tiles.getOperand() << " of " << op.getOperands().size();
  auto type = cast<BufferType>(op.getOperand(tiles.getOperand()).getType());
  UseAttr use = op.getUse(tiles.getOperand());
  if (type.isPerRow() || type.getTensor().getRank() != 1 ||
      !type.getTensor().getElementType().isInteger(32) || use.getAccess() != Access::read ||
      use.getRange() != Range::whole)
    return op.emitOpError("expects to read its tile count whole from a vector of i32, got ")
           << type;
  if (tiles.getElement() >= type.getTensor().getDimSize(0))
    return op.emitOpError("takes its tile count from element ")
           << tiles.getElement() << " of " << type;
  return success();
}

static LogicalResult verifyUse(LaunchOp op, unsigned index) {
  UseAttr use = op.getUse(index);
  TilesAttr tiles = op.getTiles();
  Value operand = op.getOperand(index);
  bool written = writes(use.getAccess());
  if (written && operand.getDefiningOp<WeightOp>())
    return op.emitOpError("writes operand ") << index << ", a weight";
  if (written && use.getRange() == Range::whole && tiles.getMax() > 1)
    return op.emitOpError("lets up to ")
           << tiles.getMax() << " tiles write the whole of operand " << index << ": a race";
  if (use.getRange() != Range::rows)
    return success();
  if (!cast<BufferType>(operand.getType()).isPerRow())
    return op.emitOpError("uses operand ") << index << " by rows, but it has none";
  if (tiles.getPerRow() + tiles.getPerLogitRow() == 0 || tiles.getConstant() > 0)
    return op.emitOpError("uses operand ")
           << index << " by rows, but its tiles are not counted per row";
  return success();
}

/// An operand that is written may occur once more at most, where the kernel
/// reads the row that it then stores.
static LogicalResult verifyRepeats(LaunchOp op) {
  llvm::SmallDenseMap<Value, SmallVector<unsigned, 2>> uses;
  for (auto [index, operand] : llvm::enumerate(op.getOperands()))
    uses[operand].push_back(index);
  for (auto [index, operand] : llvm::enumerate(op.getOperands())) {
    ArrayRef<unsigned> same = uses[operand];
    if (!writes(op.getUse(index).getAccess()) || same.size() == 1)
      continue;
    unsigned other = same.front() == index ? same.back() : same.front();
    if (same.size() > 2 || !mayShareBytes(op, other, index))
      return op.emitOpError("writes operand ")
             << index << ", which is also operand " << other << ": a race";
  }
  return success();
}

static LogicalResult verifyLayer(LaunchOp op) {
  if (op.getLayer() && int64_t(*op.getLayer()) < 0)
    return op.emitOpError("expects a layer >= 0");
  for (Value operand : op.getOperands())
    if (auto kv = operand.getDefiningOp<KVOp>(); kv && kv.getLayerAttr() != op.getLayerAttr())
      return op.emitOpError("expects the layer of its cache operand, ") << kv.getLayer();
  return success();
}

LogicalResult LaunchOp::verify() {
  if (getName().empty())
    return emitOpError("expects a name");
  if (getUses().size() != getOperands().size())
    return emitOpError("has ") << getOperands().size() << " operands and " << getUses().size()
                               << " uses";
  if (failed(verifyCount(*this)) || failed(verifyCountOperand(*this)))
    return failure();
  for (unsigned index = 0; index < getOperands().size(); ++index)
    if (failed(verifyUse(*this, index)))
      return failure();
  if (failed(verifyRepeats(*this)))
    return failure();
  return verifyLayer(*this);
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("names ") << getKernelAttr() << ", which is no plan.kernel";
  if (int64_t(kernel.getNumOperands()) != int64_t(getOperands().size()))
    return emitOpError("passes ") << getOperands().size() << " operands to a kernel of "
                                  << kernel.getNumOperands();
  return success();
}
