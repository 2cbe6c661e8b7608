// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/Storage.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

/// Columns in one panel of a packed matrix.
static constexpr int64_t panelColumns = 16;

namespace {
struct Entry {
  StringRef name;
  Storage storage;
  /// Squared error relative to the squared weight. Searched multipliers on the
  /// int8 grid, normal distribution; int8 per column of 4096 rows.
  double error;
};
} // namespace

static constexpr double int8Error = 7.6e-5;

static ArrayRef<Entry> table() {
  static const Entry entries[] = {
      {"stored", asStored, 0},      {"int8", int8Storage, 0},      {"int4g32", {4, 32}, 7.0e-3},
      {"int4g64", {4, 64}, 8.4e-3}, {"int3g32", {3, 32}, 2.65e-2}, {"int3g64", {3, 64}, 3.13e-2},
  };
  return entries;
}

SmallVector<Storage> quantization::allStorages() {
  return llvm::map_to_vector(table(), [](const Entry &entry) { return entry.storage; });
}

std::string quantization::nameOf(Storage storage) {
  for (const Entry &entry : table())
    if (entry.storage == storage)
      return entry.name.str();
  llvm_unreachable("a storage is made from this table");
}

std::optional<Storage> quantization::storageNamed(StringRef name) {
  for (const Entry &entry : table())
    if (entry.name == name)
      return entry.storage;
  return std::nullopt;
}

int64_t MatrixForm::elements() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>());
}

int64_t MatrixForm::bytes() const {
  // A table's panels are those of its transpose: its tokens are columns.
  size_t rowAxis = isTable ? shape.size() - 1 : shape.size() - 2;
  size_t columnAxis = isTable ? shape.size() - 2 : shape.size() - 1;
  int64_t rows = shape[rowAxis];
  int64_t columnBytes = rows * element.getIntOrFloatBitWidth() / 8;
  if (format) {
    columnBytes = rows * format.getBits() / 8;
    if (format.getMultiplierRows())
      columnBytes += rows / format.getMultiplierRows();
    columnBytes += rows / format.getGroupRows() * format.getScale().getIntOrFloatBitWidth() / 8;
  }
  int64_t experts = shape.size() == 3 ? shape.front() : 1;
  return experts * static_cast<int64_t>(llvm::alignTo(shape[columnAxis], panelColumns)) *
         columnBytes;
}

std::optional<MatrixForm> quantization::formUnder(const MatrixForm &stored, Storage storage) {
  if (storage == asStored || (storage == int8Storage && stored.format))
    return stored;
  MatrixForm form = stored;
  MLIRContext *context = stored.element.getContext();
  Type scale = BFloat16Type::get(context);
  if (stored.isTable) {
    if (storage != int8Storage || stored.format)
      return std::nullopt;
    form.element = IntegerType::get(context, 8);
    form.format = FormatAttr::get(context, 8, stored.shape.back(), scale, /*multiplierRows=*/0,
                                  /*zeroPoint=*/0, StringAttr(), /*alongLast=*/true);
    return form;
  }
  int64_t rows = stored.shape[stored.shape.size() - 2];
  int64_t groupRows = stored.format ? stored.format.getGroupRows() : rows;
  form.element = IntegerType::get(context, storage.bits);
  if (storage == int8Storage) {
    form.format = FormatAttr::get(8, groupRows, scale);
    return form;
  }
  // Then the units of every sum are whole groups too (SumOrder.h).
  if (groupRows % storage.group != 0)
    return std::nullopt;
  form.format = FormatAttr::get(context, storage.bits, groupRows, scale, storage.group,
                                /*zeroPoint=*/storage.bits == 4 ? 8 : 4, StringAttr(),
                                /*alongLast=*/false);
  return form;
}

double quantization::expectedError(const MatrixForm &stored, const MatrixForm &form) {
  double error = !stored.format && form.format ? int8Error : 0;
  for (const Entry &entry : table())
    if (form.format && entry.storage.bits == form.format.getBits() &&
        entry.storage.group == form.format.getMultiplierRows())
      error += entry.error;
  return error;
}
