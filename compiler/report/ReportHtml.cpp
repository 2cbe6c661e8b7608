// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report as one page: tables, pictures, no scripts, nothing to load.
#include "compiler/report/FoldedRows.h"
#include "compiler/report/Page.h"
#include "compiler/report/Pictures.h"

namespace grok::report {

static std::string itemTable(const QuantizationReport &report) {
  std::string table = "<table>\n" + tableRow("th",
                                             {"matrices", "layers", "format", "bits", "bytes",
                                              "predicted loss", "measured loss"},
                                             3);
  for (const FoldedRow &row : foldItems(report))
    table +=
        tableRow("td",
                 {row.kind, row.layers, row.format, fixedText(row.bits(), 2), bytesText(row.bytes),
                  lossText(row.loss), row.measured ? lossText(*row.measured) : "-"},
                 3);
  return table + "</table>\n";
}

static std::string textOr(const std::optional<double> &value, int digits) {
  return value ? fixedText(*value, digits) : "-";
}

static std::string alternativeTable(const QuantizationReport &report) {
  std::string table =
      "<table>\n" + tableRow("th",
                             {"model", "bits", "bytes", "predicted loss", "predicted perplexity",
                              "measured perplexity", "divergence, nats", "same top token"},
                             1);
  for (const Alternative &other : alternativesOf(report)) {
    std::optional<double> divergence, agreement;
    if (other.measured) {
      divergence = other.measured->divergence;
      agreement = other.measured->agreement;
    }
    table += tableRow("td",
                      {other.name, fixedText(other.bits, 2), bytesText(other.bytes),
                       lossText(other.loss), textOr(other.predictedPerplexity, 4),
                       textOr(other.perplexity, 4), textOr(divergence, 5),
                       agreement ? fixedText(100 * *agreement, 1) + " %" : "-"},
                      1);
  }
  return table + "</table>\n";
}

static std::string measuredOn(const QuantizationReport &report) {
  if (report.text.empty())
    return "Nothing was measured; losses are predictions.";
  return "Measured on " + std::to_string(report.tokens) + " tokens of " + report.text +
         ". Losses are in nats per token above the model as stored.";
}

std::string htmlOf(const QuantizationReport &report) {
  std::string title = report.model + ": " + headlineOf(report);
  std::string page;
  page += paragraph("Choice: " + proofOf(report) + ".");
  page += paragraph("Codes: " + report.encoder + ". " + measuredOn(report));
  page += heading("Bits by layer and kind") + drawFormats(report) + legendOf(formatLegend());
  page += itemTable(report);
  page += heading("Beside flat formats") + alternativeTable(report) + drawBytes(report);
  page += heading("Predicted against measured") + drawQuality(report);
  page += paragraph("Open circles are predicted, filled ones measured; green is the choice.");
  return pageOf(title, page);
}

} // namespace grok::report
