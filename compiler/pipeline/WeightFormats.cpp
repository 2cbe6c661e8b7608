// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/WeightFormats.h"

#include "dialects/grok/GrokDialect.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

using quantization::MatrixFormat;

/// `length` is that of the contraction.
static MatrixFormat toMatrixFormat(FormatAttr format, int64_t length) {
  MatrixFormat result;
  result.kind = format.getBits() == 8   ? MatrixFormat::Kind::i8
                : format.getBits() == 4 ? MatrixFormat::Kind::i4
                                        : MatrixFormat::Kind::i3;
  result.rowGroups = length / format.getGroupRows();
  result.multiplierRows = format.getMultiplierRows();
  result.alongLast = format.getAlongLast();
  return result;
}

static std::vector<MatrixFormat> formatsOf(RankedTensorType type) {
  int64_t rows = type.getDimSize(type.getRank() - 2), columns = type.getShape().back();
  auto lengthOf = [&](FormatAttr format) { return format.getAlongLast() ? columns : rows; };
  if (auto formats = dyn_cast<ExpertFormatsAttr>(type.getEncoding())) {
    std::vector<MatrixFormat> result;
    for (FormatAttr format : formats.getFormats())
      result.push_back(toMatrixFormat(format, lengthOf(format)));
    return result;
  }
  auto format = cast<FormatAttr>(type.getEncoding());
  int64_t experts = type.getRank() == 3 ? type.getDimSize(0) : 1;
  return std::vector<MatrixFormat>(experts, toMatrixFormat(format, lengthOf(format)));
}

quantization::WeightFormats compiler::readWeightFormats(ModuleOp module,
                                                        const checkpoint::TensorList &tensors) {
  llvm::StringMap<const checkpoint::TensorInfo *> stored;
  for (const checkpoint::TensorInfo &info : tensors)
    stored[info.name] = &info;
  quantization::WeightFormats result;
  module.walk([&](WeightOp op) {
    RankedTensorType type = op.getType();
    const checkpoint::TensorInfo *info = stored.lookup(op.getPath());
    bool isStored = info && info->quantised && type.getElementType().isInteger(8) &&
                    isa<FormatAttr>(type.getEncoding());
    if (type.getEncoding() && !isStored)
      result[op.getPath().str()] = formatsOf(type);
  });
  return result;
}
