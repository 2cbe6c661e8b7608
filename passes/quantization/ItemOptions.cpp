// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/ItemOptions.h"

#include "llvm/ADT/StringExtras.h"

#include <cmath>

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

static constexpr double fixedPointUnit = 0x1p-36; // nats

int64_t quantization::toFixedPoint(double nats) { return std::llround(nats / fixedPointUnit); }

double quantization::toNats(int64_t fixedPoint) {
  return static_cast<double>(fixedPoint) * fixedPointUnit;
}

static std::string nameOf(const MatrixForm &form) {
  if (!form.format)
    return form.element.isBF16() ? "bf16" : "f32";
  return quantization::nameOf(Storage{form.format.getBits(), form.format.getMultiplierRows()});
}

std::string ItemOption::name() const {
  SmallVector<std::string> names;
  for (const MatrixForm &form : forms)
    if (std::string name = ::nameOf(form); !llvm::is_contained(names, name))
      names.push_back(name);
  return llvm::join(names, "+");
}

bool ItemOption::isSameAs(const ItemOption &other) const {
  return llvm::equal(forms, other.forms, [](const MatrixForm &lhs, const MatrixForm &rhs) {
    return lhs.element == rhs.element && lhs.format == rhs.format;
  });
}

/// The option without its loss, and the relative squared error to expect of it.
ItemOption ItemOptions::makeUnmeasured(const WeightItem &item, Storage storage,
                                       double &error) const {
  ItemOption option;
  int64_t elements = 0;
  error = 0;
  for (size_t index : item.weights) {
    MatrixForm stored = item.formOf(model.weights[index]);
    // Experts of one tensor cannot be floats and codes.
    Storage wanted = storage == asStored && item.expert >= 0 ? int8Storage : storage;
    std::optional<MatrixForm> form = formUnder(stored, wanted);
    if (!form)
      form = formUnder(stored, int8Storage);
    error += expectedError(stored, *form) * static_cast<double>(stored.elements());
    elements += stored.elements();
    option.bytes += form->bytes();
    option.forms.push_back(std::move(*form));
  }
  error /= static_cast<double>(elements);
  return option;
}

/// Measured errors may count inputs by how large they are. What they were, of
/// what was to be expected, holds for formats that were not measured.
double ItemOptions::scaleOf(const WeightItem &item) const {
  double measured = 0, expected = 0;
  for (Storage storage : allStorages()) {
    if (std::optional<double> error = sensitivities.errorOf(item, storage)) {
      double unmeasured;
      makeUnmeasured(item, storage, unmeasured);
      measured += *error;
      expected += unmeasured;
    }
  }
  return expected > 0 ? measured / expected : 1;
}

ItemOption ItemOptions::make(const WeightItem &item, Storage storage) const {
  double expected;
  ItemOption option = makeUnmeasured(item, storage, expected);
  std::optional<double> measured = sensitivities.errorOf(item, storage);
  double error = measured ? *measured : expected * scaleOf(item);
  option.loss = sensitivities.lossPerError(item, model) * error;
  return option;
}

ItemOption ItemOptions::makeFlat(const WeightItem &item, Storage storage) const {
  bool keepsTable = item.kind == ItemKind::table && storage == int8Storage && model.isQuantised;
  if (keepsTable || storage == asStored)
    return make(item, asStored);
  return make(item, isOfExperts(item.kind) ? storage : int8Storage);
}
