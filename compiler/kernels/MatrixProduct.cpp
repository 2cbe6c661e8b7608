// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/kernels/MatrixProduct.h"

#include "compiler/kernels/HalfProduct.h"
#include "compiler/kernels/IntegerProduct.h"
#include "compiler/kernels/PanelProduct.h"

namespace grok::compiler {

static constexpr int64_t vectorBytes = panelColumns * 4;

MatrixProduct::MatrixProduct(KernelBuilder &kernel, int64_t width, bool isRagged, Blocking blocking)
    : kernel(kernel), contraction(contractionOf(kernel.spec)), unit(kernel.spec.weight.unit),
      slices(kernel.spec.weight.slices), unitsPerSlice(contraction / slices / unit),
      panelBytes(kernel.spec.weight.panelBytes(contraction)), width(width),
      walkPanels(std::min(width, blocking.walkPanels)), chunkRows(blocking.chunkRows),
      isGemv(kernel.spec.maxRows == 1), mayClamp(isRagged || width % walkPanels != 0) {}

Value MatrixProduct::newResult() { return kernel.scratch(chunkRows * width * vectorBytes); }

Value MatrixProduct::resultAddress(Value result, Value row, Value panel) {
  Value vector = kernel.add(kernel.mul(row, width), panel);
  return kernel.rowAddress(result, vector, vectorBytes);
}

void MatrixProduct::forChunks(Value rows, llvm::function_ref<void(Value, Value)> body) {
  kernel.loop(kernel.index(0), rows, chunkRows, [&](Value first) {
    Value left = kernel.sub(rows, first);
    body(first, isGemv ? kernel.index(1) : kernel.minimum(left, kernel.index(chunkRows)));
  });
}

void MatrixProduct::forResults(Value result, Value rows, Value panels,
                               llvm::function_ref<void(Value, Value, Value)> body) {
  kernel.loop(kernel.index(0), rows, 1, [&](Value row) {
    kernel.loop(kernel.index(0), panels, 1, [&](Value panel) {
      body(row, panel, kernel.load(kernel.floats, resultAddress(result, row, panel), 64));
    });
  });
}

void MatrixProduct::forWalks(const MatrixOperand &matrix, Value firstPanel, Value panels,
                             llvm::function_ref<void(const Walk &)> body) {
  auto emitFrom = [&](Value start) {
    Walk walk;
    for (int64_t i = 0; i < walkPanels; ++i) {
      Value relative = kernel.add(start, i);
      // Past the end the last panel is done again, with the same result.
      if (mayClamp && i > 0)
        relative = kernel.minimum(relative, kernel.add(panels, -1));
      walk.relative.push_back(relative);
      walk.absolute.push_back(kernel.add(firstPanel, relative));
      // A constant distance lets all streams share one address register.
      bool isNeighbour = i > 0 && !mayClamp;
      walk.weights.push_back(isNeighbour
                                 ? kernel.offset(walk.weights[0], i * panelBytes)
                                 : kernel.rowAddress(matrix.weights, walk.absolute[i], panelBytes));
    }
    body(walk);
  };
  if (width <= walkPanels)
    emitFrom(kernel.index(0));
  else
    kernel.loop(kernel.index(0), panels, walkPanels, emitFrom);
}

void MatrixProduct::storeSlicesOfRow(Value sums,
                                     llvm::function_ref<Values(Value, ValueRange)> addUnit) {
  kernel.loop(kernel.index(0), kernel.index(slices), 1, [&](Value slice) {
    Value firstUnit = kernel.mul(slice, unitsPerSlice);
    Values sliceSums =
        kernel.loop(kernel.index(0), kernel.index(unitsPerSlice), 1,
                    Values(walkPanels, kernel.splat(0.0f)), [&](Value unitOfSlice, ValueRange sum) {
                      return addUnit(kernel.add(firstUnit, unitOfSlice), sum);
                    });
    Value address = kernel.rowAddress(sums, slice, walkPanels * vectorBytes);
    for (int64_t i = 0; i < walkPanels; ++i)
      kernel.store(sliceSums[i], kernel.offset(address, i * vectorBytes), 64);
  });
}

Value MatrixProduct::sliceTree(llvm::function_ref<Value(int64_t)> leaf, int64_t first,
                               int64_t count) {
  if (count == 1)
    return leaf(first);
  Value low = sliceTree(leaf, first, count / 2);
  return kernel.add(low, sliceTree(leaf, first + count / 2, count / 2));
}

Value MatrixProduct::sumOfSlices(Value address, int64_t stride) {
  auto leaf = [&](int64_t slice) {
    return kernel.load(kernel.floats, kernel.offset(address, slice * stride), 64);
  };
  return sliceTree(leaf, 0, slices);
}

std::unique_ptr<MatrixProduct> makeProduct(KernelBuilder &kernel, int64_t width, bool isRagged,
                                           bool areNeighbours) {
  if (readsQuantizedRows(kernel.spec))
    return std::make_unique<IntegerProduct>(kernel, width, isRagged, areNeighbours);
  if (HalfProduct::fits(kernel))
    return std::make_unique<HalfProduct>(kernel, width, isRagged);
  return std::make_unique<PanelProduct>(kernel, width, isRagged);
}

} // namespace grok::compiler
