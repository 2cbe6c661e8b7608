// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives on the values of a group of ranks.
#include "compiler/interpreter/Collectives.h"

#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <bit>

using namespace mlir::shard;

namespace grok::interpreter {

// sum of parts [first, last)
static Tensor sumOf(llvm::ArrayRef<const Tensor *> parts) {
  if (parts.size() == 1)
    return *parts.front();
  size_t half = std::bit_floor(parts.size() - 1);
  Tensor sum = sumOf(parts.take_front(half));
  Tensor other = sumOf(parts.drop_front(half));
  for (size_t index = 0; index < sum.values.size(); ++index)
    sum.values[index] += other.values[index];
  return sum;
}

Tensor reduceAll(llvm::ArrayRef<const Tensor *> parts, Rounding rounding) {
  Tensor sum = sumOf(parts);
  for (float &value : sum.values)
    value = round(value, rounding);
  return sum;
}

// Elements of the dimensions from `dim` on.
static int64_t spanOf(const Tensor &tensor, int64_t dim) {
  int64_t span = 1;
  for (int64_t extent : llvm::ArrayRef(tensor.shape).drop_front(dim))
    span *= extent;
  return span;
}

Tensor gatherAll(llvm::ArrayRef<const Tensor *> parts, int64_t dim) {
  Tensor whole;
  whole.shape = parts.front()->shape;
  whole.shape[dim] = 0;
  int64_t outer = 1;
  for (int64_t extent : llvm::ArrayRef(whole.shape).take_front(dim))
    outer *= extent;
  for (const Tensor *part : parts)
    whole.shape[dim] += part->shape[dim];
  for (int64_t row = 0; row < outer; ++row)
    for (const Tensor *part : parts) {
      int64_t span = spanOf(*part, dim);
      auto begin = part->values.begin() + row * span;
      whole.values.insert(whole.values.end(), begin, begin + span);
    }
  return whole;
}

Tensor slicePart(const Tensor &whole, int64_t dim, int64_t index, int64_t count) {
  Tensor part;
  part.shape = whole.shape;
  part.shape[dim] /= count;
  int64_t span = spanOf(part, dim), wholeSpan = spanOf(whole, dim);
  for (size_t row = 0; row * wholeSpan < whole.values.size(); ++row) {
    auto begin = whole.values.begin() + int64_t(row) * wholeSpan + index * span;
    part.values.insert(part.values.end(), begin, begin + span);
  }
  return part;
}

bool isCollective(mlir::Operation &op) {
  return mlir::isa<AllReduceOp, AllGatherOp, AllSliceOp, ReduceScatterOp, AllToAllOp>(op);
}

llvm::ArrayRef<int16_t> axesOf(mlir::Operation &op) {
  return op.getAttrOfType<GridAxesAttr>("grid_axes").asArrayRef();
}

static Result<std::vector<Tensor>> scatter(const Tensor &whole, int64_t dim, size_t ranks) {
  if (whole.shape[dim] % int64_t(ranks) != 0)
    return tl::unexpected("expects " + std::to_string(ranks) + " ranks to divide " +
                          std::to_string(whole.shape[dim]));
  std::vector<Tensor> parts;
  parts.reserve(ranks);
  for (size_t rank = 0; rank < ranks; ++rank)
    parts.push_back(slicePart(whole, dim, int64_t(rank), int64_t(ranks)));
  return parts;
}

static Result<std::vector<Tensor>> exchange(llvm::ArrayRef<const Tensor *> parts, int64_t splitDim,
                                            int64_t concatDim) {
  std::vector<std::vector<Tensor>> sent; // by sender, then by receiver
  for (const Tensor *part : parts) {
    auto pieces = scatter(*part, splitDim, parts.size());
    if (!pieces)
      return tl::unexpected(pieces.error());
    sent.push_back(std::move(*pieces));
  }
  std::vector<Tensor> received;
  for (size_t rank = 0; rank < parts.size(); ++rank) {
    std::vector<const Tensor *> pieces;
    pieces.reserve(sent.size());
    for (const auto &from : sent)
      pieces.push_back(&from[rank]);
    received.push_back(gatherAll(pieces, concatDim));
  }
  return received;
}

static Rounding roundingOf(mlir::Value value) {
  auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
  return type.getElementType().isBF16() ? Rounding::bf16 : Rounding::f32;
}

static Result<Tensor> reduce(llvm::ArrayRef<const Tensor *> parts, ReductionKind kind,
                             mlir::Value result) {
  if (kind != ReductionKind::Sum)
    return tl::unexpected("expects a sum, found " + stringifyReductionKind(kind).str());
  for (const Tensor *part : parts)
    if (part->shape != parts.front()->shape)
      return tl::unexpected(std::string("expects parts of one shape"));
  return reduceAll(parts, roundingOf(result));
}

Result<std::vector<Tensor>> runCollective(mlir::Operation &op,
                                          llvm::ArrayRef<const Tensor *> parts) {
  using Parts = Result<std::vector<Tensor>>;
  return llvm::TypeSwitch<mlir::Operation *, Parts>(&op)
      .Case([&](AllReduceOp op) -> Parts {
        auto sum = reduce(parts, op.getReduction(), op.getResult());
        if (!sum)
          return tl::unexpected(sum.error());
        return std::vector<Tensor>(parts.size(), *sum);
      })
      .Case([&](ReduceScatterOp op) -> Parts {
        auto sum = reduce(parts, op.getReduction(), op.getResult());
        if (!sum)
          return tl::unexpected(sum.error());
        return scatter(*sum, op.getScatterAxis().getSExtValue(), parts.size());
      })
      .Case([&](AllGatherOp op) -> Parts {
        return std::vector<Tensor>(parts.size(),
                                   gatherAll(parts, op.getGatherAxis().getSExtValue()));
      })
      .Case([&](AllSliceOp op) -> Parts {
        std::vector<Tensor> own;
        for (size_t rank = 0; rank < parts.size(); ++rank) {
          auto mine = scatter(*parts[rank], op.getSliceAxis().getSExtValue(), parts.size());
          if (!mine)
            return tl::unexpected(mine.error());
          own.push_back(std::move((*mine)[rank]));
        }
        return own;
      })
      .Case([&](AllToAllOp op) -> Parts {
        return exchange(parts, op.getSplitAxis().getSExtValue(), op.getConcatAxis().getSExtValue());
      })
      .Default([](mlir::Operation *op) -> Parts {
        return tl::unexpected("'" + op->getName().getStringRef().str() + "' is not a collective");
      });
}

} // namespace grok::interpreter
