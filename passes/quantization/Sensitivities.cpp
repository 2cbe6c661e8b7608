// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/Sensitivities.h"

#include "mlir/IR/Builders.h"

#include <cmath>

using namespace mlir;
using namespace grok;
using namespace grok::quantization;

static constexpr StringLiteral attributeName = "grok.sensitivities";

/// Far beyond any measurement, and small enough for sums in fixed point.
static constexpr double mostLoss = 1000;
static constexpr double mostError = 4;

/// By rule, in nats per relative squared error of the whole model. Of the
/// experts' matrices 0.6 for all layers, which is what one trained model of this
/// architecture showed; the rest is order, not measurement: down before gate
/// and up, attention and table before the experts.
static double ruleOf(ItemKind kind) {
  switch (kind) {
  case ItemKind::table:
    return 2;
  case ItemKind::attention:
    return 1;
  case ItemKind::gateUp:
    return 0.24;
  case ItemKind::down:
    return 0.36;
  }
  llvm_unreachable("all kinds are listed");
}

/// The first and the last layer count twice.
static double weightOfLayer(int64_t layer, int64_t layers) {
  return layer == 0 || layer == layers - 1 ? 2 : 1;
}

void quantization::setSensitivities(ModuleOp module, const MeasuredSensitivities &measured) {
  Builder builder(module.getContext());
  NamedAttrList entries;
  for (const auto &[item, sensitivity] : measured) {
    NamedAttrList entry, errors;
    for (const auto &[format, error] : sensitivity.errors)
      errors.append(format, builder.getF64FloatAttr(error));
    entry.append("loss", builder.getF64FloatAttr(sensitivity.loss));
    if (!errors.empty())
      entry.append("errors", errors.getDictionary(builder.getContext()));
    entries.append(item, entry.getDictionary(builder.getContext()));
  }
  module->setAttr(attributeName, entries.getDictionary(builder.getContext()));
}

static LogicalResult checkNumber(ModuleOp module, StringRef entry, StringRef what,
                                 Attribute attribute, double least, double most) {
  auto number = dyn_cast_or_null<FloatAttr>(attribute);
  double value = number ? number.getValueAsDouble() : NAN;
  if (value >= least && value <= most)
    return success();
  auto error = module.emitError("expects ")
               << what << " of '" << entry << "' in grok.sensitivities to be a number from "
               << least << " to " << most;
  if (attribute)
    error << ", found " << attribute;
  return error;
}

static LogicalResult checkEntry(ModuleOp module, NamedAttribute named) {
  StringRef name = named.getName();
  auto entry = dyn_cast<DictionaryAttr>(named.getValue());
  if (!entry)
    return module.emitError("expects '") << name << "' in grok.sensitivities to be a dictionary";
  if (failed(checkNumber(module, name, "loss", entry.get("loss"), -mostLoss, mostLoss)))
    return failure();
  auto errors = entry.getAs<DictionaryAttr>("errors");
  if (!errors)
    return success();
  for (NamedAttribute error : errors) {
    if (!storageNamed(error.getName()))
      return module.emitError("expects errors of '")
             << name << "' in grok.sensitivities to name formats, found '"
             << error.getName().getValue() << "'";
    if (failed(checkNumber(module, name, "errors", error.getValue(), 0, mostError)))
      return failure();
  }
  return success();
}

FailureOr<Sensitivities> Sensitivities::read(ModuleOp module) {
  Sensitivities sensitivities;
  Attribute attribute = module->getAttr(attributeName);
  if (!attribute)
    return sensitivities;
  sensitivities.entries = dyn_cast<DictionaryAttr>(attribute);
  if (!sensitivities.entries)
    return module.emitError("expects grok.sensitivities to be a dictionary");
  for (NamedAttribute named : sensitivities.entries) {
    if (failed(checkEntry(module, named)))
      return failure();
    auto [item, expert] = named.getName().getValue().split(".expert");
    if (!expert.empty())
      sensitivities.split.insert(item);
  }
  return sensitivities;
}

/// The name of the item without its expert.
static StringRef wholeOf(const WeightItem &item) {
  return StringRef(item.name).split(".expert").first;
}

LogicalResult Sensitivities::check(ModuleOp module, const ModelWeights &model) const {
  if (!entries)
    return success();
  llvm::StringSet<> known;
  for (const WeightItem &item : model.items) {
    known.insert(item.name);
    if (item.expert < 0)
      continue;
    known.insert(wholeOf(item));
    if (split.contains(wholeOf(item)) && !entries.contains(item.name))
      return module.emitError("expects grok.sensitivities of each expert of an item or of none, "
                              "found none of '")
             << item.name << "'";
  }
  for (NamedAttribute named : entries)
    if (!known.contains(named.getName()))
      return module.emitError("grok.sensitivities has an entry '")
             << named.getName().getValue() << "' that is no matrix of this model";
  return success();
}

DictionaryAttr Sensitivities::entryOf(const WeightItem &item) const {
  if (!entries)
    return {};
  if (auto entry = entries.getAs<DictionaryAttr>(item.name))
    return entry;
  // Where experts were not measured one by one, each has what all have.
  return entries.getAs<DictionaryAttr>(wholeOf(item));
}

double Sensitivities::lossPerError(const WeightItem &item, const ModelWeights &model) const {
  bool isShare = item.expert >= 0 && !(entries && entries.contains(item.name));
  int64_t experts = isShare ? model.weights[item.weights.front()].form.shape.front() : 1;
  if (DictionaryAttr entry = entryOf(item))
    return std::max(0.0, entry.getAs<FloatAttr>("loss").getValueAsDouble()) /
           static_cast<double>(experts);
  if (item.layer < 0)
    return ruleOf(item.kind);
  double all = 0;
  for (int64_t layer = 0; layer < model.layers; ++layer)
    all += weightOfLayer(layer, model.layers);
  return ruleOf(item.kind) * weightOfLayer(item.layer, model.layers) /
         (all * static_cast<double>(experts));
}

std::optional<double> Sensitivities::errorOf(const WeightItem &item, Storage storage) const {
  DictionaryAttr entry = entryOf(item);
  auto errors = entry ? entry.getAs<DictionaryAttr>("errors") : DictionaryAttr();
  auto error = errors ? errors.getAs<FloatAttr>(nameOf(storage)) : FloatAttr();
  return error ? std::optional(error.getValueAsDouble()) : std::nullopt;
}
