// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A rank's part of a stored weight.
#include "compiler/interpreter/WeightSlices.h"

#include "compiler/interpreter/Arguments.h"

#include <array>
#include <cstring>

namespace grok::interpreter {

namespace {

/// A stack of matrices; one matrix is a stack of one.
using Extents = std::array<int64_t, 3>; // stack, rows, columns

struct SlicedBytes {
  std::vector<std::byte> weight, scales;
};

} // namespace

static Extents extentsOf(const std::vector<int64_t> &shape) {
  Extents extents = {1, 1, 1};
  std::copy(shape.begin(), shape.end(), extents.end() - int64_t(shape.size()));
  return extents;
}

static int64_t flatten(const Extents &extents, int64_t stack, int64_t row, int64_t column) {
  return (stack * extents[1] + row) * extents[2] + column;
}

/// Calls visit(local index, whole index or -1) for every element of the part.
/// `steps` are positions per element in the part and `wholeSteps` in the whole:
/// 1 for codes, the rows of a group for scales.
template <typename Visit>
static void forEachElement(const Extents &part, const Extents &whole, const Extents &begin,
                           const Extents &steps, const Extents &wholeSteps, Visit visit) {
  Extents counts, wholeCounts;
  for (int dim = 0; dim < 3; ++dim) {
    counts[dim] = part[dim] / steps[dim];
    wholeCounts[dim] = whole[dim] / wholeSteps[dim];
  }
  for (int64_t stack = 0; stack < counts[0]; ++stack)
    for (int64_t row = 0; row < counts[1]; ++row)
      for (int64_t column = 0; column < counts[2]; ++column) {
        int64_t at[] = {begin[0] + stack * steps[0], begin[1] + row * steps[1],
                        begin[2] + column * steps[2]};
        bool isInside = at[0] < whole[0] && at[1] < whole[1] && at[2] < whole[2];
        visit(flatten(counts, stack, row, column),
              isInside ? flatten(wholeCounts, at[0] / wholeSteps[0], at[1] / wholeSteps[1],
                                 at[2] / wholeSteps[2])
                       : -1);
      }
}

static Extents scaleSteps(const Matrix &matrix) {
  return matrix.scalesAlongLast ? Extents{1, 1, matrix.groupRows} : Extents{1, matrix.groupRows, 1};
}

Result<Matrix> sliceWeight(WeightOp weight, const WeightBytes &bytes, const RankPlace &place) {
  auto fullType = mlir::cast<mlir::RankedTensorType>(*weight.getFull());
  Result<Matrix> whole = matrixOf(fullType, bytes);
  if (!whole)
    return whole;
  auto type = mlir::cast<mlir::RankedTensorType>(weight.getType());
  std::vector<int64_t> first(type.getRank());
  for (auto slice : weight.getSlices()->getAsRange<SliceAttr>()) {
    llvm::StringRef axis = slice.getAxis().getValue();
    int64_t part = place.index(axis) * slice.getParts() / place.ranks(axis);
    first[slice.getDim()] = part * type.getDimSize(slice.getDim());
  }
  Extents begin = extentsOf(first), extents = extentsOf(whole->shape);
  std::fill(begin.begin(), begin.end() - type.getRank(), 0);

  // Shape and format are those of the part's type.
  auto owner = std::make_shared<SlicedBytes>();
  Matrix part = *whole;
  part.shape = type.getShape().vec();
  if (whole->groupRows != 0) {
    auto format = mlir::dyn_cast<FormatAttr>(type.getEncoding());
    if (auto experts = mlir::dyn_cast<ExpertFormatsAttr>(type.getEncoding()))
      format = experts.getFormats().front();
    part.groupRows = format.getGroupRows();
  }
  Extents partExtents = extentsOf(part.shape), ones = {1, 1, 1};
  owner->weight.resize(part.weightSize(), static_cast<std::byte>(whole->zeroPoint));
  int64_t size = sizeOf(part.type);
  forEachElement(partExtents, extents, begin, ones, ones, [&](int64_t to, int64_t from) {
    if (from >= 0)
      std::memcpy(&owner->weight[to * size], &bytes.weight[from * size], size);
  });
  owner->scales.resize(part.scalesSize());
  if (part.groupRows != 0) {
    int64_t scaleSize = sizeOf(part.scaleType);
    forEachElement(partExtents, extents, begin, scaleSteps(part), scaleSteps(*whole),
                   [&](int64_t to, int64_t from) {
                     if (from >= 0)
                       std::memcpy(&owner->scales[to * scaleSize], &bytes.scales[from * scaleSize],
                                   scaleSize);
                   });
  }
  part.bytes = {owner->weight, owner->scales, owner};
  return part;
}

} // namespace grok::interpreter
