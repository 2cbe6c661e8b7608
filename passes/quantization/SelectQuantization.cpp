// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pass: options, budget, choice, new types of the weights.
#include "passes/quantization/FormatChoices.h"
#include "passes/quantization/Passes.h"
#include "passes/quantization/Selection.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

namespace grok {
#define GEN_PASS_DEF_SELECTQUANTIZATION
#include "passes/quantization/Passes.h.inc"
} // namespace grok

namespace {

/// The options, understood.
struct Request {
  bool isAuto = false;
  Storage flat;                 // unless auto
  SmallVector<Storage> allowed; // under auto
  bool hasNarrow = true;        // kernels for fewer than eight bits
};

struct SelectQuantization : grok::impl::SelectQuantizationBase<SelectQuantization> {
  using SelectQuantizationBase::SelectQuantizationBase;

  void runOnOperation() override;

private:
  LogicalResult checkBudgetOptions(bool isAuto);
  LogicalResult readFormats(Request &request);
  FailureOr<Request> readRequest();
  FailureOr<int64_t> readBudget(const ModelWeights &model, int64_t least);
  bool assignsExperts(const WeightItem &item);
  LogicalResult assignItems(const ModelWeights &model, const ItemOptions &options,
                            FormatChoices &choices);
  void retype(const ModelWeights &model, const FormatChoices &choices);
};

} // namespace

LogicalResult SelectQuantization::checkBudgetOptions(bool isAuto) {
  ModuleOp module = getOperation();
  if (!(bitsPerWeight >= 0 && std::isfinite(bitsPerWeight) && budgetBytes >= 0))
    return module.emitError("expects options bits-per-weight and budget-bytes to be positive");
  bool hasBudget = bitsPerWeight > 0 || budgetBytes > 0;
  if (isAuto && !hasBudget)
    return module.emitError("expects option bits-per-weight or budget-bytes with weights=auto");
  if (!isAuto && (hasBudget || !formats.empty()))
    return module.emitError(
        "expects weights=auto with option bits-per-weight, budget-bytes or formats");
  return success();
}

LogicalResult SelectQuantization::readFormats(Request &request) {
  ModuleOp module = getOperation();
  if (!request.isAuto) {
    bool hasGroup = weights == "int4" || weights == "int3";
    std::string name = weights + (hasGroup ? "g" + std::to_string(group) : "");
    if (!hasGroup && weights != "stored" && weights != "int8")
      return module.emitError(
                 "expects option weights to be stored, int8, int4, int3 or auto, got '")
             << weights << "'";
    request.flat = *storageNamed(name);
    return success();
  }
  if (formats.empty()) {
    request.allowed = {int8Storage};
    if (request.hasNarrow)
      request.allowed.append({Storage{4, 32}, Storage{4, 64}, Storage{3, 32}, Storage{3, 64}});
  }
  for (const std::string &name : formats) {
    std::optional<Storage> storage = storageNamed(name);
    if (!storage)
      return module.emitError("expects option formats to list stored, int8, int4g32, int4g64, "
                              "int3g32 or int3g64, got '")
             << name << "'";
    request.allowed.push_back(*storage);
  }
  return success();
}

FailureOr<Request> SelectQuantization::readRequest() {
  ModuleOp module = getOperation();
  Request request;
  request.isAuto = weights == "auto";
  auto numerics = module->getAttrOfType<StringAttr>("grok.numerics");
  request.hasNarrow = !numerics || numerics != "bf16";
  if (group != 32 && group != 64)
    return module.emitError("expects option group of 32 or 64, got ") << group.getValue();
  if (failed(checkBudgetOptions(request.isAuto)) || failed(readFormats(request)))
    return failure();
  auto isNarrow = [](Storage storage) { return storage.group != 0; };
  if (!request.hasNarrow && (isNarrow(request.flat) || llvm::any_of(request.allowed, isNarrow)))
    return module.emitError("has no kernels for int4 or int3 under grok.numerics = \"bf16\"");
  return request;
}

/// The bytes that all items together may have: at least `least`.
FailureOr<int64_t> SelectQuantization::readBudget(const ModelWeights &model, int64_t least) {
  int64_t budget = std::numeric_limits<int64_t>::max();
  if (bitsPerWeight > 0) {
    auto elements = static_cast<double>(model.matrixElements);
    double bytes =
        std::floor(bitsPerWeight * elements / 8) - static_cast<double>(model.routerBytes);
    if (bytes < static_cast<double>(least)) {
      // Rounded up, so that what the message names can be had.
      double needed = 8 * static_cast<double>(least + model.routerBytes) / elements;
      return getOperation().emitError()
             << llvm::formatv("expects bits-per-weight of at least {0:F3}, got {1:F3}; no choice "
                              "of formats is smaller",
                              std::ceil(needed * 1000) / 1000, bitsPerWeight.getValue())
                    .str();
    }
    budget = static_cast<int64_t>(std::min(bytes, 0x1p62));
  }
  if (budgetBytes > 0) {
    int64_t others = model.routerBytes + model.vectorBytes;
    if (budgetBytes - others < least)
      return getOperation().emitError("expects budget-bytes of at least ")
             << least + others << ", got " << budgetBytes.getValue()
             << "; no choice of formats is smaller";
    budget = std::min(budget, budgetBytes - others);
  }
  return budget;
}

/// Whether a format is assigned to one expert of the item.
bool SelectQuantization::assignsExperts(const WeightItem &item) {
  const std::string experts = item.name + ".expert";
  return llvm::any_of(assign, [&](StringRef text) { return text.starts_with(experts); });
}

LogicalResult SelectQuantization::assignItems(const ModelWeights &model, const ItemOptions &options,
                                              FormatChoices &choices) {
  for (const std::string &text : assign) {
    auto [name, format] = StringRef(text).rsplit(':');
    std::optional<Storage> storage = storageNamed(format);
    bool isKnown = false;
    for (auto [index, item] : llvm::enumerate(model.items)) {
      // The whole of an item is what all of its experts are.
      bool isAll = StringRef(item.name).split(".expert").first == name;
      if (!storage || (item.name != name && !isAll))
        continue;
      isKnown = true;
      choices.options[index] = {options.make(item, *storage)};
      choices.chosen[index] = 0;
    }
    if (!isKnown)
      return getOperation().emitError("expects option assign to list ITEM:FORMAT, got '")
             << text << "'";
  }
  return success();
}

/// The type of a weight whose experts have `forms`, or that is one form whole.
static RankedTensorType typeOf(ArrayRef<int64_t> shape, ArrayRef<MatrixForm> forms) {
  const MatrixForm &first = forms.front();
  if (llvm::all_of(forms, [&](const MatrixForm &form) { return form.format == first.format; }))
    return RankedTensorType::get(shape, first.element, first.format);
  SmallVector<FormatAttr> formats;
  for (const MatrixForm &form : forms)
    formats.push_back(form.format);
  MLIRContext *context = first.element.getContext();
  return RankedTensorType::get(shape, IntegerType::get(context, 8),
                               ExpertFormatsAttr::get(context, formats));
}

void SelectQuantization::retype(const ModelWeights &model, const FormatChoices &choices) {
  std::vector<SmallVector<MatrixForm>> forms(model.weights.size());
  for (auto [index, item] : llvm::enumerate(model.items))
    for (auto [weight, form] : llvm::zip_equal(item.weights, choices.of(index).forms))
      forms[weight].push_back(form);
  for (auto [weight, parts] : llvm::zip_equal(model.weights, forms)) {
    RankedTensorType type = typeOf(weight.form.shape, parts);
    bool isNew = false;
    for (WeightOp op : weight.ops) {
      isNew |= op.getType() != type;
      op.getResult().setType(type);
    }
    numRetyped += isNew;
  }
}

static void describeItems(const ModelWeights &model, const FormatChoices &choices,
                          Selection &selection) {
  for (auto [index, item] : llvm::enumerate(model.items)) {
    const ItemOption &option = choices.of(index);
    SelectedItem selected = {item.name, nameOf(item.kind).str(), option.name(), item.layer,
                             item.expert};
    for (const MatrixForm &form : option.forms)
      selected.elements += form.elements();
    selected.bytes = option.bytes;
    selected.loss = option.loss;
    selection.items.push_back(std::move(selected));
  }
}

/// Every format that the kernels could read; of formats that come out the same
/// the first.
static void describeFlat(const ModelWeights &model, const ItemOptions &options, bool hasNarrow,
                         Selection &selection) {
  for (Storage storage : allStorages()) {
    if (storage.group && !hasNarrow)
      continue;
    FormatChoices choices = chooseFlat(model, options, storage);
    FlatChoice flat{nameOf(storage), choices.bytes() + model.routerBytes, 0, choices.loss()};
    flat.bits = 8 * static_cast<double>(flat.bytes) / static_cast<double>(model.matrixElements);
    flat.bytes += model.vectorBytes;
    if (llvm::none_of(selection.flat, [&](const FlatChoice &known) {
          return known.bytes == flat.bytes && known.loss == flat.loss;
        }))
      selection.flat.push_back(std::move(flat));
  }
}

void SelectQuantization::runOnOperation() {
  ModuleOp module = getOperation();
  FailureOr<Request> request = readRequest();
  FailureOr<Sensitivities> sensitivities = Sensitivities::read(module);
  if (failed(request) || failed(sensitivities))
    return signalPassFailure();
  FailureOr<ModelWeights> model = findWeights(module, [&](const WeightItem &item) {
    return sensitivities->areOfExperts(item) || assignsExperts(item);
  });
  if (failed(model) || failed(sensitivities->check(module, *model)))
    return signalPassFailure();

  ItemOptions options(*model, *sensitivities);
  FormatChoices choices = request->isAuto ? collectChoices(*model, options, request->allowed)
                                          : chooseFlat(*model, options, request->flat);
  Selection selection;
  if (request->isAuto) {
    FailureOr<int64_t> budget = readBudget(*model, leastBytes(choices));
    if (failed(budget))
      return signalPassFailure();
    chooseWithin(*budget, *model, options, request->allowed, choices);
    selection.budget = *budget + model->routerBytes + model->vectorBytes;
  }
  if (failed(assignItems(*model, options, choices)))
    return signalPassFailure();
  retype(*model, choices);

  selection.weights = request->isAuto ? "auto" : nameOf(request->flat);
  selection.isMeasured = sensitivities->isMeasured();
  selection.elements = model->matrixElements;
  selection.matrixBytes = choices.bytes() + model->routerBytes;
  selection.bytes = selection.matrixBytes + model->vectorBytes;
  selection.loss = choices.loss();
  selection.gap = choices.gap;
  describeItems(*model, choices, selection);
  describeFlat(*model, options, request->hasNarrow, selection);
  setSelection(module, std::move(selection));
}
