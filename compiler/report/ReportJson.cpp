// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report for programs. What is not known is null.
#include "compiler/report/FoldedRows.h"

#include <nlohmann/json.hpp>

namespace grok::report {

using nlohmann::ordered_json;

static ordered_json orNull(const std::optional<double> &value) {
  return value ? ordered_json(*value) : ordered_json();
}

static ordered_json orNull(const std::map<std::string, double> &values, const std::string &key) {
  auto found = values.find(key);
  return found == values.end() ? ordered_json() : ordered_json(found->second);
}

static ordered_json toJson(const std::optional<Measurement> &measured) {
  if (!measured)
    return nullptr;
  return {{"loss", measured->loss},
          {"standard_error", orNull(measured->standardError)},
          {"divergence", orNull(measured->divergence)},
          {"agreement", orNull(measured->agreement)}};
}

static ordered_json itemsOf(const QuantizationReport &report) {
  ordered_json items = ordered_json::array();
  for (const quantization::SelectedItem &item : report.selection.items) {
    ordered_json json = {{"name", item.name},
                         {"kind", item.kind},
                         {"format", item.format},
                         {"elements", item.elements},
                         {"bytes", item.bytes},
                         {"predicted_loss", item.loss},
                         {"measured_loss", orNull(report.itemLosses, item.name)},
                         {"relative_error", orNull(report.itemErrors, item.name)}};
    if (item.layer >= 0)
      json["layer"] = item.layer;
    if (item.expert >= 0)
      json["expert"] = item.expert;
    items.push_back(std::move(json));
  }
  return items;
}

static ordered_json modelsOf(const QuantizationReport &report) {
  ordered_json models = ordered_json::array();
  for (const Alternative &other : alternativesOf(report))
    models.push_back({{"name", other.name},
                      {"bits_per_weight", other.bits},
                      {"bytes", other.bytes},
                      {"predicted_loss", other.loss},
                      {"predicted_perplexity", orNull(other.predictedPerplexity)},
                      {"perplexity", orNull(other.perplexity)},
                      {"measured", toJson(other.measured)}});
  return models;
}

std::string jsonOf(const QuantizationReport &report) {
  const quantization::Selection &selection = report.selection;
  ordered_json json = {{"model", report.model},
                       {"weights", selection.weights},
                       {"encoder", report.encoder},
                       {"elements", selection.elements},
                       {"matrix_bytes", selection.matrixBytes},
                       {"bytes", selection.bytes},
                       {"budget_bytes", nullptr},
                       {"bits_per_weight", selection.bits()},
                       {"predicted_loss", selection.loss},
                       {"gap", selection.gap},
                       {"sensitivities", selection.isMeasured ? "measured" : "rules"},
                       {"text", report.text},
                       {"tokens", report.tokens},
                       {"stored", toJson(report.stored)}};
  if (selection.budget > 0)
    json["budget_bytes"] = selection.budget;
  json["models"] = modelsOf(report);
  json["items"] = itemsOf(report);
  // Names of files need not be UTF-8; JSON must.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

} // namespace grok::report
