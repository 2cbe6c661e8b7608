// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/report/FoldedRows.h"

#include <cmath>
#include <cstdio>

namespace grok::report {

using quantization::SelectedItem;

double FoldedRow::bits() const {
  return elements ? 8.0 * static_cast<double>(bytes) / static_cast<double>(elements) : 0;
}

std::string lossText(double nats) {
  if (nats == 0)
    return "0";
  if (std::fabs(nats) >= 1e-3)
    return fixedText(nats, 4);
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", nats);
  return text;
}

std::string rangesOf(const std::vector<int64_t> &numbers) {
  std::string text;
  for (size_t first = 0, last = 0; first < numbers.size(); first = last + 1) {
    for (last = first; last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1;)
      ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[first]);
    if (last > first)
      text += "-" + std::to_string(numbers[last]);
  }
  return text;
}

namespace {
/// Where the items of one row are.
struct Places {
  bool isTable = false;
  std::vector<int64_t> layers;                     // all experts
  std::map<int64_t, std::vector<int64_t>> experts; // single ones, by layer

  std::string text() const;
};
} // namespace

/// More layers with single experts than this are counted, not listed.
static constexpr size_t mostListed = 4;

std::string Places::text() const {
  if (isTable)
    return "-";
  std::string parts;
  size_t count = 0;
  for (const auto &[layer, chosen] : experts) {
    parts += (parts.empty() ? "" : ", ") + std::to_string(layer) +
             (chosen.size() == 1 ? " (expert " : " (experts ") + rangesOf(chosen) + ")";
    count += chosen.size();
  }
  if (experts.size() > mostListed)
    parts = std::to_string(count) + " experts of " + std::to_string(experts.size()) + " layers";
  return rangesOf(layers) + (layers.empty() || parts.empty() ? "" : ", ") + parts;
}

/// The places of the items of a row, given how many items each layer has.
static Places placesOf(const std::vector<const SelectedItem *> &items,
                       const std::map<std::pair<std::string, int64_t>, size_t> &itemsOfLayer) {
  Places places;
  for (const SelectedItem *item : items) {
    places.isTable |= item->layer < 0;
    places.experts[item->layer].push_back(item->expert);
  }
  for (auto at = places.experts.begin(); at != places.experts.end();) {
    bool isWhole = at->second.size() == itemsOfLayer.at({items.front()->kind, at->first});
    if (isWhole)
      places.layers.push_back(at->first);
    at = isWhole ? places.experts.erase(at) : std::next(at);
  }
  return places;
}

std::vector<FoldedRow> foldItems(const QuantizationReport &report) {
  std::vector<FoldedRow> rows;
  std::vector<std::vector<const SelectedItem *>> items; // by row
  std::map<std::pair<std::string, int64_t>, size_t> itemsOfLayer;
  for (const SelectedItem &item : report.selection.items) {
    size_t at = 0;
    while (at < rows.size() && (rows[at].kind != item.kind || rows[at].format != item.format))
      ++at;
    if (at == rows.size()) {
      FoldedRow &row = rows.emplace_back();
      row.kind = item.kind;
      row.format = item.format;
      row.measured = 0;
      items.emplace_back();
    }
    items[at].push_back(&item);
    ++itemsOfLayer[{item.kind, item.layer}];
    FoldedRow &row = rows[at];
    row.elements += item.elements;
    row.bytes += item.bytes;
    row.loss += item.loss;
    if (auto found = report.itemLosses.find(item.name); found == report.itemLosses.end())
      row.measured.reset();
    else if (row.measured)
      *row.measured += found->second;
  }
  for (size_t at = 0; at < rows.size(); ++at)
    rows[at].layers = placesOf(items[at], itemsOfLayer).text();
  return rows;
}

std::string headlineOf(const QuantizationReport &report) {
  const quantization::Selection &selection = report.selection;
  std::string text = selection.weights + ", " + fixedText(selection.bits(), 2) +
                     " bits per weight, " + bytesText(selection.bytes);
  if (selection.budget > 0)
    text += " of at most " + bytesText(selection.budget);
  return text;
}

std::string proofOf(const QuantizationReport &report) {
  const quantization::Selection &selection = report.selection;
  std::string source = selection.isMeasured ? "sensitivities measured on this model"
                                            : "sensitivities by rule, not measured on this model";
  if (selection.weights != "auto")
    return "not optimised; losses from " + source;
  if (selection.gap == 0)
    return "proved optimal for the predicted losses; losses from " + source;
  return "proved within " + lossText(selection.gap) +
         " nats of the best for the predicted losses; losses from " + source;
}

std::vector<Alternative> alternativesOf(const QuantizationReport &report) {
  const quantization::Selection &selection = report.selection;
  std::vector<Alternative> all = {
      {"chosen", selection.bits(), selection.bytes, selection.loss, report.chosen, {}, {}}};
  for (const quantization::FlatChoice &flat : selection.flat) {
    auto found = report.flat.find(flat.format);
    std::optional<Measurement> measured;
    if (found != report.flat.end())
      measured = found->second;
    else if (flat.format == "stored")
      measured = report.stored;
    all.push_back({flat.format, flat.bits, flat.bytes, flat.loss, measured, {}, {}});
  }
  for (Alternative &alternative : all) {
    if (report.stored)
      alternative.predictedPerplexity = std::exp(report.stored->loss + alternative.loss);
    if (alternative.measured)
      alternative.perplexity = std::exp(alternative.measured->loss);
  }
  return all;
}

} // namespace grok::report
