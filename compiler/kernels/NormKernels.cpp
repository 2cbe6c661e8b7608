// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// rms_norm and residual_norm. Tile = row; padding lanes are zero and stay so.
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

void emitResidualNorm(KernelBuilder &kernel) {
  const int64_t stride = rowBytes(kernel.spec.emb);
  kernel.forTiles([&](Value row) {
    Value stream = kernel.rowAddress(kernel.operand(0), row, stride);
    Value added = kernel.rowAddress(kernel.operand(1), row, stride);
    Value inverse = inverseRms(kernel, added);
    kernel.loop(kernel.index(0), kernel.index(stride), vectorBytes, [&](Value at) {
      Value a = kernel.load(kernel.floats, kernel.offset(added, at));
      Value scale = kernel.load(kernel.floats, kernel.offset(kernel.operand(2), at));
      Value h = kernel.load(kernel.floats, kernel.offset(stream, at));
      Value sum = kernel.add(h, normalized(kernel, a, inverse, scale));
      kernel.store(roundActivation(kernel, kernel.spec.numerics, sum), kernel.offset(stream, at));
    });
    emitNorm(kernel, stream, kernel.operand(3), kernel.rowAddress(kernel.operand(4), row, stride));
  });
}

} // namespace grok::compiler
