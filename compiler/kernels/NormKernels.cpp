// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// rms_norm, residual_norm and combine. Tile = row; padding lanes are zero and stay
// so.
#include "compiler/kernels/KernelGenerators.h"
#include "compiler/kernels/VectorMath.h"

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

// Sum of squares of a padded row. Vector i goes to chain i mod 4; the chains
// are summed as a tree, then their lanes: one order for every row.
static Value sumOfSquares(KernelBuilder &kernel, Value row) {
  constexpr int64_t chainCount = 4;
  const int64_t vectors = panelsOf(kernel.spec.emb), whole = vectors / chainCount * chainCount;
  auto addSquare = [&](Value chain, Value address) {
    Value x = kernel.load(kernel.floats, address);
    return kernel.multiplyAdd(x, x, chain);
  };
  Values chains = kernel.loop(
      kernel.index(0), kernel.index(whole), chainCount, Values(chainCount, kernel.splat(0.0f)),
      [&](Value vector, ValueRange carried) {
        Value address = kernel.rowAddress(row, vector, vectorBytes);
        Values next;
        for (int64_t i = 0; i < chainCount; ++i)
          next.push_back(addSquare(carried[i], kernel.offset(address, i * vectorBytes)));
        return next;
      });
  for (int64_t i = whole; i < vectors; ++i)
    chains[i - whole] = addSquare(chains[i - whole], kernel.offset(row, i * vectorBytes));
  Value low = kernel.add(chains[0], chains[1]), high = kernel.add(chains[2], chains[3]);
  return sumOfLanes(kernel, kernel.add(low, high));
}

// 1 / sqrt(mean of squares + eps), in all lanes.
static Value inverseRms(KernelBuilder &kernel, Value row) {
  const KernelSpec &spec = kernel.spec;
  Value mean = kernel.div(sumOfSquares(kernel, row), kernel.number(static_cast<float>(spec.emb)));
  Value shifted = kernel.add(mean, kernel.number(static_cast<float>(spec.eps)));
  return kernel.broadcast(kernel.div(kernel.number(1.0f), kernel.sqrt(shifted)));
}

static Value normalized(KernelBuilder &kernel, Value x, Value inverse, Value scale) {
  return roundActivation(kernel, kernel.spec.numerics, kernel.mul(scale, kernel.mul(x, inverse)));
}

// output = rms_norm(row) * scale
static void emitNorm(KernelBuilder &kernel, Value row, Value scale, Value output) {
  Value inverse = inverseRms(kernel, row);
  kernel.loop(kernel.index(0), kernel.index(rowBytes(kernel.spec.emb)), vectorBytes, [&](Value at) {
    Value x = kernel.load(kernel.floats, kernel.offset(row, at));
    Value weights = kernel.load(kernel.floats, kernel.offset(scale, at));
    kernel.store(normalized(kernel, x, inverse, weights), kernel.offset(output, at));
  });
}

void emitRmsNorm(KernelBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  kernel.forTiles([&](Value row) {
    emitNorm(kernel, kernel.rowAddress(kernel.operand(0), row, stride), kernel.operand(1),
             kernel.rowAddress(kernel.operand(2), row, stride));
  });
}

// Vector `at` of the rows [first, last) of `parts`, as a balanced tree: the order
// in which collectives add (runtime/collectives/TreeSum.h).
static Value sumOfParts(KernelBuilder &kernel, Value parts, Value at, int64_t first, int64_t last) {
  if (last - first == 1)
    return kernel.load(kernel.floats,
                       kernel.offset(kernel.offset(parts, at), first * rowBytes(kernel.spec.emb)));
  int64_t half = 1;
  while (2 * half < last - first)
    half *= 2;
  return kernel.add(sumOfParts(kernel, parts, at, first, first + half),
                    sumOfParts(kernel, parts, at, first + half, last));
}

// The row that is added: as given, or first summed over the ranks into the row of
// the output, which is written last.
static Value addedRow(KernelBuilder &kernel, Value row, Value output) {
  const int64_t stride = rowBytes(kernel.spec.emb), parts = kernel.spec.parts;
  Value given = kernel.rowAddress(kernel.operand(1), row, parts * stride);
  if (parts == 1)
    return given;
  kernel.loop(kernel.index(0), kernel.index(stride), vectorBytes, [&](Value at) {
    kernel.store(sumOfParts(kernel, given, at, 0, parts), kernel.offset(output, at));
  });
  return output;
}

void emitResidualNorm(KernelBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  kernel.forTiles([&](Value row) {
    Value stream = kernel.rowAddress(kernel.operand(0), row, stride);
    Value output = kernel.rowAddress(kernel.operand(4), row, stride);
    Value added = addedRow(kernel, row, output);
    Value inverse = inverseRms(kernel, added);
    kernel.loop(kernel.index(0), kernel.index(stride), vectorBytes, [&](Value at) {
      Value a = kernel.load(kernel.floats, kernel.offset(added, at));
      Value scale = kernel.load(kernel.floats, kernel.offset(kernel.operand(2), at));
      Value h = kernel.load(kernel.floats, kernel.offset(stream, at));
      Value sum = kernel.add(h, normalized(kernel, a, inverse, scale));
      kernel.store(roundActivation(kernel, kernel.spec.numerics, sum), kernel.offset(stream, at));
    });
    emitNorm(kernel, stream, kernel.operand(3), output);
  });
}

// Gate-weighted rows of the selected experts, added in the order of their ids as
// down_combine does.
void emitCombine(KernelBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb), selected = kernel.spec.selected;
  kernel.forTiles([&](Value row) {
    Value output = kernel.rowAddress(kernel.operand(3), row, stride);
    Value gates = kernel.rowAddress(kernel.operand(1), row, selected * 4);
    Value experts = kernel.rowAddress(kernel.operand(2), row, selected * 4);
    Value rows = kernel.rowAddress(kernel.operand(0), row, selected * stride);
    kernel.loop(kernel.index(0), kernel.index(stride), vectorBytes,
                [&](Value at) { kernel.store(kernel.splat(0.0f), kernel.offset(output, at)); });
    auto addChoice = [&](Value choice) {
      Value gate = kernel.broadcast(kernel.load(kernel.f32, kernel.rowAddress(gates, choice, 4)));
      Value from = kernel.rowAddress(rows, choice, stride);
      kernel.loop(kernel.index(0), kernel.index(stride), vectorBytes, [&](Value at) {
        Value to = kernel.offset(output, at);
        Value x = kernel.load(kernel.floats, kernel.offset(from, at));
        kernel.store(kernel.multiplyAdd(gate, x, kernel.load(kernel.floats, to)), to);
      });
    };
    // Choice c is number n if n ids are smaller; ids of a row differ.
    kernel.loop(kernel.index(0), kernel.index(selected), 1, [&](Value number) {
      kernel.loop(kernel.index(0), kernel.index(selected), 1, [&](Value choice) {
        Value own = kernel.loadIndex(kernel.rowAddress(experts, choice, 4));
        Values smaller = kernel.loop(
            kernel.index(0), kernel.index(selected), 1, {kernel.index(0)},
            [&](Value other, ValueRange count) -> Values {
              Value id = kernel.loadIndex(kernel.rowAddress(experts, other, 4));
              return {kernel.add(
                  count[0], kernel.select(kernel.less(id, own), kernel.index(1), kernel.index(0)))};
            });
        kernel.when(kernel.equal(smaller[0], number), [&] { addChoice(choice); });
      });
    });
  });
}

} // namespace grok::compiler
