// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/outlining/BucketBuilder.h"

using namespace mlir;
using namespace grok::plan;

std::string BucketBuilder::makeName(llvm::StringSet<> &taken, std::optional<int64_t> layer,
                                    StringRef name) {
  std::string base = layer ? ("layer" + Twine(*layer) + "." + name).str() : name.str();
  std::string unique = base;
  for (int64_t number = 2; !taken.insert(unique).second; ++number)
    unique = (base + "_" + Twine(number)).str();
  return unique;
}

Value BucketBuilder::addBuffer(Location loc, std::optional<int64_t> layer, StringRef name,
                               RankedTensorType type, ArrayRef<int64_t> logicalRow) {
  auto logical =
      logicalRow.empty() ? DenseI64ArrayAttr() : builder.getDenseI64ArrayAttr(logicalRow);
  return BufferOp::create(builder, loc, BufferType::get(getContext(), type),
                          builder.getStringAttr(makeName(bufferNames, layer, name)), IntegerAttr(),
                          logical);
}

Value BucketBuilder::addRows(Location loc, std::optional<int64_t> layer, StringRef name,
                             ArrayRef<int64_t> row) {
  SmallVector<int64_t> shape{ShapedType::kDynamic};
  llvm::append_range(shape, row);
  shape.back() = padToPanel(row.back());
  bool isPadded = shape.back() != row.back();
  return addBuffer(loc, layer, name, RankedTensorType::get(shape, builder.getF32Type()),
                   isPadded ? row : ArrayRef<int64_t>());
}

Value BucketBuilder::addWeight(Location loc, const PackedTensor &tensor) {
  Value &weight = weights[tensor.symbol];
  if (!weight)
    weight = plan::WeightOp::create(builder, loc, BufferType::get(getContext(), tensor.type),
                                    tensor.symbol);
  return weight;
}

Value BucketBuilder::addCache(Location loc, int64_t layer, int64_t layerBytes) {
  Value &pages = caches[layer];
  auto bytes = RankedTensorType::get({layerBytes}, builder.getI8Type());
  if (!pages)
    pages = KVOp::create(builder, loc, BufferType::get(getContext(), bytes), layer);
  return pages;
}

Value BucketBuilder::addLogits(Location loc, int64_t columns) {
  auto rows =
      RankedTensorType::get({ShapedType::kDynamic, padToPanel(columns)}, builder.getF32Type());
  return LogitsOp::create(builder, loc, BufferType::get(getContext(), rows));
}

TilesAttr BucketBuilder::countRows(int64_t perRow) {
  return TilesAttr::get(getContext(), perRow, 0, 0, -1, 0, perRow * getMaxRows());
}

TilesAttr BucketBuilder::countTiles(int64_t constant) {
  return TilesAttr::get(getContext(), 0, 0, constant, -1, 0, constant);
}

TilesAttr BucketBuilder::countIn(int64_t operand, int64_t element, int64_t max) {
  return TilesAttr::get(getContext(), 0, 0, 0, operand, element, max);
}

void BucketBuilder::addLaunch(Location loc, const LaunchSpec &launch, const KernelParams &params,
                              ArrayRef<LaunchOperand> operands) {
  SmallVector<Value> buffers;
  SmallVector<Attribute> uses;
  for (const LaunchOperand &operand : operands) {
    buffers.push_back(operand.buffer);
    uses.push_back(UseAttr::get(getContext(), operand.access, operand.range));
  }
  FlatSymbolRefAttr kernel = kernels.get(loc, launch.op, params.build(), operands.size());
  std::string name =
      makeName(launchNames, launch.layer, launch.name.empty() ? launch.op : launch.name);
  auto layer = launch.layer ? builder.getI64IntegerAttr(*launch.layer) : IntegerAttr();
  LaunchOp::create(builder, loc, kernel, builder.getStringAttr(name), buffers, launch.tiles,
                   builder.getArrayAttr(uses), layer);
}

void BucketBuilder::addCollective(Location loc, StringRef kind, std::optional<int64_t> layer,
                                  ArrayRef<StringRef> over, Value source, Value target,
                                  StringRef name) {
  std::string unique = makeName(launchNames, layer, name.empty() ? kind : name);
  CollectiveOp::create(builder, loc, kind, unique, builder.getStrArrayAttr(over), source, target,
                       layer ? builder.getI64IntegerAttr(*layer) : IntegerAttr());
}
