// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/GpuProduct.h"

#include "compiler/targets/nvidia/generators/ChainProduct.h"
#include "compiler/targets/nvidia/generators/MmaProduct.h"
#include "compiler/targets/nvidia/generators/Tcgen05Product.h"
#include "compiler/targets/nvidia/generators/WgmmaProduct.h"
#include "dialects/plan/QuantizedRow.h"

namespace grok::compiler {

GpuProduct::GpuProduct(GpuBuilder &kernel, int64_t slots, int64_t chunkRows, int64_t resultColumns)
    : chunkRows(chunkRows), kernel(kernel), format(kernel.spec.weight), slots(slots),
      contraction(contractionOf(kernel.spec)), unit(format.unit), slices(format.slices),
      unitsPerSlice(contraction / slices / unit), panelBytes(format.panelBytes(contraction)),
      scalesUnits(contraction / format.groups % (contraction / slices) != 0),
      resultColumns(resultColumns ? resultColumns : (slots + 1) / 2 * 2 * panelColumns),
      results(kernel.sharedMemory(chunkRows * this->resultColumns * 4)) {}

int64_t GpuProduct::inputRowBytes() const {
  if (!readsQuantizedRows(kernel.spec))
    return rowBytes(contraction);
  return plan::QuantizedRow::of(contraction, unit, kernel.spec.digits).bytes;
}

void GpuProduct::storeAddresses(Value rows, RowInput input, Value table) const {
  kernel.forThreads(chunkRows, [&](Value row) {
    Value address = input(kernel.minimum(row, kernel.add(rows, -1)));
    kernel.store(address, kernel.rowAddress(table, row, 8), 8);
  });
}

Value GpuProduct::rowsOfChunk(Value rows, Value chunk) {
  Value left = kernel.sub(rows, kernel.mul(chunk, chunkRows));
  return kernel.minimum(left, kernel.index(chunkRows));
}

PanelSequence GpuProduct::sequenceOfTiles(Value tiles,
                                          std::function<GpuPanel(Value, Value)> panel) const {
  GpuBuilder &builder = kernel;
  return {
      .first = {builder.block},
      .isValid = [&builder, tiles](ValueRange cursor) { return builder.less(cursor[0], tiles); },
      .next = [&builder](ValueRange cursor) -> Values {
        return {builder.add(cursor[0], builder.blocks)};
      },
      .panel = [panel = std::move(panel)](ValueRange cursor,
                                          Value slot) { return panel(cursor[0], slot); }};
}

void GpuProduct::forChunks(Value rows, llvm::function_ref<void(Value, Value)> body) {
  kernel.loop(kernel.index(0), rows, chunkRows, [&](Value first) {
    body(first, kernel.minimum(kernel.sub(rows, first), kernel.index(chunkRows)));
  });
}

Value GpuProduct::result(Value row, Value position) const {
  return kernel.load(kernel.f32, kernel.rowAddress(resultRow(row), position, 4));
}

void GpuProduct::forResults(Value rows, llvm::function_ref<void(Value, Value)> body) {
  const int64_t columns = slots * panelColumns;
  kernel.loop(kernel.thread, kernel.mul(rows, columns), kernel.threads,
              [&](Value at) { body(kernel.quotient(at, columns), kernel.remainder(at, columns)); });
}

static Value sliceTree(GpuBuilder &kernel, llvm::function_ref<Value(int64_t)> leaf, int64_t first,
                       int64_t count) {
  if (count == 1)
    return leaf(first);
  Value low = sliceTree(kernel, leaf, first, count / 2);
  return kernel.add(low, sliceTree(kernel, leaf, first + count / 2, count / 2));
}

Value GpuProduct::sumOfSlices(llvm::function_ref<Value(int64_t)> leaf) {
  return sumOfParts(slices, leaf);
}

Value GpuProduct::sumOfParts(int64_t parts, llvm::function_ref<Value(int64_t)> leaf) {
  return sliceTree(kernel, leaf, 0, parts);
}

Values GpuProduct::columnScales(const GpuPanel &panel, Value group, Value column, int64_t count) {
  Value first = kernel.add(kernel.mul(group, panel.scaleColumns), column);
  Value address = kernel.rowAddress(panel.scales, first, 2);
  auto asFloat = [&](Value half) {
    return kernel.fromBits(kernel.shiftLeft(kernel.widenUnsigned(half, kernel.i32), 16));
  };
  if (count == 1)
    return {asFloat(kernel.load(kernel.i16, address))};
  Value halves = kernel.load(kernel.vectorOf(kernel.i16, count), address, 2 * count);
  Values scales;
  for (int64_t i = 0; i < count; ++i)
    scales.push_back(asFloat(kernel.extract(halves, i)));
  return scales;
}

// By tensor cores that read both operands from shared memory.
static bool usesWarpgroups(const KernelSpec &spec, const NvidiaChip &chip) {
  return WgmmaProduct::fits(spec, chip) || Tcgen05Product::fits(spec, chip);
}

std::unique_ptr<GpuProduct> makeGpuProduct(GpuBuilder &kernel, int64_t slots) {
  if (WgmmaProduct::fits(kernel.spec, kernel.chip))
    return std::make_unique<WgmmaProduct>(kernel, slots);
  if (Tcgen05Product::fits(kernel.spec, kernel.chip))
    return std::make_unique<Tcgen05Product>(kernel, slots);
  if (MmaProduct::fits(kernel.spec))
    return std::make_unique<MmaProduct>(kernel, slots);
  return std::make_unique<ChainProduct>(kernel, slots);
}

int64_t productThreads(const KernelSpec &spec, const NvidiaChip &chip, int64_t clusterBlocks) {
  if (usesWarpgroups(spec, chip))
    return WarpgroupProduct::threads;
  return MmaProduct::fits(spec) ? MmaProduct::threadsOf(spec, clusterBlocks)
                                : ChainProduct::threads;
}

int64_t productClusterBlocks(const KernelSpec &spec, const NvidiaChip &chip) {
  return MmaProduct::fits(spec) ? MmaProduct::bestClusterBlocks(spec, chip) : 1;
}

int64_t productPanels(const KernelSpec &spec, const NvidiaChip &chip) {
  return usesWarpgroups(spec, chip) ? WgmmaWeights::panels : 2;
}

} // namespace grok::compiler
