// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The report as tables of text.
#include "compiler/report/FoldedRows.h"

#include <algorithm>

namespace grok::report {

using Cells = std::vector<std::string>;

/// Lines of columns that line up, numbers to the right; two spaces between them.
static std::string printTable(const std::vector<Cells> &rows, const std::vector<bool> &isNumber) {
  std::vector<size_t> widths(isNumber.size());
  for (const Cells &row : rows)
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], row[column].size());
  std::string text;
  for (const Cells &row : rows) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      std::string padding(widths[column] - row[column].size(), ' ');
      line += column == 0 ? "" : "  ";
      line += isNumber[column] ? padding + row[column] : row[column] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

static std::string textOr(const std::optional<double> &value, int digits) {
  return value ? fixedText(*value, digits) : "-";
}

static std::string itemTable(const QuantizationReport &report) {
  std::vector<Cells> rows = {
      {"matrices", "layers", "format", "bits", "bytes", "predicted", "measured"}};
  for (const FoldedRow &row : foldItems(report))
    rows.push_back({row.kind, row.layers, row.format, fixedText(row.bits(), 2),
                    bytesText(row.bytes), lossText(row.loss),
                    row.measured ? lossText(*row.measured) : "-"});
  return printTable(rows, {false, false, false, true, true, true, true});
}

static std::string alternativeTable(const QuantizationReport &report) {
  std::vector<Cells> rows = {
      {"model", "bits", "bytes", "predicted", "perplexity", "+-", "divergence", "same top"}};
  for (const Alternative &other : alternativesOf(report)) {
    std::optional<double> error, divergence, agreement;
    if (other.measured) {
      divergence = other.measured->divergence;
      if (other.measured->standardError)
        error = *other.perplexity * *other.measured->standardError;
      if (other.measured->agreement)
        agreement = 100 * *other.measured->agreement;
    }
    rows.push_back({other.name, fixedText(other.bits, 2), bytesText(other.bytes),
                    lossText(other.loss), textOr(other.perplexity, 4), textOr(error, 4),
                    textOr(divergence, 5), agreement ? fixedText(*agreement, 1) + " %" : "-"});
  }
  return printTable(rows, {false, true, true, true, true, true, true, true});
}

std::string textOf(const QuantizationReport &report) {
  std::string text = report.model + ": " + headlineOf(report) + "\n";
  text += "codes: " + report.encoder + "\n";
  text += "choice: " + proofOf(report) + "\n\n";
  text += itemTable(report) + "\n" + alternativeTable(report);
  if (report.stored && report.chosen) {
    const Alternative chosen = alternativesOf(report).front();
    text += "\nperplexity of the choice: predicted " + fixedText(*chosen.predictedPerplexity, 4) +
            ", measured " + fixedText(*chosen.perplexity, 4) + " on " +
            std::to_string(report.tokens) + " tokens of " + report.text + "\n";
  }
  return text;
}

} // namespace grok::report
