// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What was chosen for a model's weights, what that was expected to cost and what
// it did cost, for people and for programs.
#pragma once

#include "passes/quantization/Selection.h"

#include <map>

namespace grok::report {

/// One model over the text of a report.
struct Measurement {
  double loss = 0; // mean negative log-likelihood of a token, nats
  /// Against the model as stored, token by token.
  std::optional<double> standardError; // of the difference of the losses
  std::optional<double> divergence;    // mean KL divergence, nats
  std::optional<double> agreement;     // share of tokens with the same most likely token
};

struct QuantizationReport {
  std::string model;   // "grok-nano"
  std::string encoder; // how codes were found: "search", "gptq, statistics 3f2a"
  quantization::Selection selection;

  std::string text;   // what was measured on; empty = nothing was
  int64_t tokens = 0; // scored
  std::optional<Measurement> stored, chosen;
  std::map<std::string, Measurement> flat; // by format of selection.flat: "int4g32"
  /// By item of the selection, if measured: loss when it alone is quantised, in
  /// nats, and the relative squared error that its encoding reached.
  std::map<std::string, double> itemLosses, itemErrors;
};

/// Tables of text; ends with a line break.
std::string textOf(const QuantizationReport &report);
/// One JSON object, indented; ends with a line break.
std::string jsonOf(const QuantizationReport &report);
/// One HTML page that needs no other file.
std::string htmlOf(const QuantizationReport &report);

} // namespace grok::report
