// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report as one page: tables, pictures, no scripts, nothing to load.
#include "compiler/report/FoldedRows.h"
#include "compiler/report/Pictures.h"
#include "compiler/report/Svg.h"

namespace grok::report {

static constexpr std::string_view style = R"(
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
       color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; }
th, td { padding: .2em .8em .2em 0; text-align: left; border-bottom: 1px solid #ddd; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.b3 { fill: #d7642c; } .b4 { fill: #eba937; } .b8 { fill: #4a90c2; } .b16 { fill: #7a7a8c; }
.own { fill: #2b8a4b; stroke: #2b8a4b; } .other { fill: #666; stroke: #666; }
.predicted { fill: #fff; stroke-width: 2; } .axis { stroke: #888; }
.gap { stroke: #888; stroke-dasharray: 3 3; }
.key { display: inline-block; margin-right: 1.2em; }
.key svg { vertical-align: -2px; margin-right: .3em; }
)";

static std::string paragraph(const std::string &text) { return "<p>" + escape(text) + "</p>\n"; }
static std::string heading(const std::string &text) { return "<h2>" + escape(text) + "</h2>\n"; }

/// A row of cells; those after the first `texts` hold numbers.
static std::string tableRow(const char *cell, const std::vector<std::string> &cells, size_t texts) {
  std::string row = "<tr>";
  for (size_t column = 0; column < cells.size(); ++column)
    row += std::string("<") + cell + (column < texts ? ">" : " class=\"n\">") +
           escape(cells[column]) + "</" + cell + ">";
  return row + "</tr>\n";
}

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

static std::string legendOfFormats() {
  std::string legend = "<p>";
  for (const auto &[cssClass, text] : formatLegend()) {
    Svg key(12, 12, text);
    key.box(0, 0, 12, 12, cssClass, text);
    legend += "<span class=\"key\">" + key.take() + escape(text) + "</span>";
  }
  return legend + "</p>\n";
}

static std::string measuredOn(const QuantizationReport &report) {
  if (report.text.empty())
    return "Nothing was measured; losses are predictions.";
  return "Measured on " + std::to_string(report.tokens) + " tokens of " + report.text +
         ". Losses are in nats per token above the model as stored.";
}

std::string htmlOf(const QuantizationReport &report) {
  std::string title = report.model + ": " + headlineOf(report);
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<title>" + escape(title) + "</title>\n<style>" + std::string(style) + "</style>\n";
  page += "</head>\n<body>\n<h1>" + escape(title) + "</h1>\n";
  page += paragraph("Choice: " + proofOf(report) + ".");
  page += paragraph("Codes: " + report.encoder + ". " + measuredOn(report));
  page += heading("Bits by layer and kind") + drawFormats(report) + legendOfFormats();
  page += itemTable(report);
  page += heading("Beside flat formats") + alternativeTable(report) + drawBytes(report);
  page += heading("Predicted against measured") + drawQuality(report);
  page += paragraph("Open circles are predicted, filled ones measured; green is the choice.");
  return page + "</body>\n</html>\n";
}

} // namespace grok::report
