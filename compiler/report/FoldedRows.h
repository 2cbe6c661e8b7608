// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Items of a selection that are stored alike, as one row of a table.
#pragma once

#include "compiler/report/NumberText.h"
#include "compiler/report/QuantizationReport.h"

namespace grok::report {

struct FoldedRow {
  std::string kind, format;
  std::string layers; // "0-3, 7, 4 (experts 0-2)", "90 experts of 40 layers", "-" for the table
  int64_t elements = 0, bytes = 0;
  double loss = 0;                // predicted, nats
  std::optional<double> measured; // nats, if all its items were measured

  double bits() const;
};

/// By kind and format, in the order of their first items.
std::vector<FoldedRow> foldItems(const QuantizationReport &report);

/// "3, 5-7" of ascending numbers.
std::string rangesOf(const std::vector<int64_t> &numbers);
/// "0.0123", with enough digits to tell small numbers apart.
std::string lossText(double nats);

/// "auto, 3.90 bits per weight, 153.2 GB of at most 160.0 GB".
std::string headlineOf(const QuantizationReport &report);
/// What is known of the choice: that it is optimal for the losses, or how far
/// from it; and where the losses come from.
std::string proofOf(const QuantizationReport &report);

/// A way to store the whole model, with what is known of it.
struct Alternative {
  std::string name; // "chosen", or a format
  double bits = 0;
  int64_t bytes = 0;
  double loss = 0; // predicted, nats above the model as stored
  std::optional<Measurement> measured;
  std::optional<double> predictedPerplexity, perplexity;
};

/// The choice first, then the flat ones.
std::vector<Alternative> alternativesOf(const QuantizationReport &report);

} // namespace grok::report
