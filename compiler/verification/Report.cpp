// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/Report.h"

#include <algorithm>
#include <cstdio>

namespace grok::verification {

void Report::add(Finding finding, int64_t launchValues) {
  ++launches;
  values += launchValues;
  auto summary = std::find_if(ops.begin(), ops.end(),
                              [&](const OpSummary &known) { return known.op == finding.op; });
  if (summary == ops.end())
    summary = ops.insert(ops.end(), OpSummary{finding.op});
  ++summary->launches;
  summary->values += launchValues;
  summary->worstShare = std::max(summary->worstShare, finding.share);
  if (finding.share > 1 && !first)
    first = finding;
  if (finding.share > 0 && (!worst || finding.share > worst->share))
    worst = std::move(finding);
}

/// "3.1e-02", or "-" for exact agreement.
static std::string textOf(double share) {
  if (share == 0)
    return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.1e", share);
  return text;
}

static std::string textOf(const std::optional<Finding> &finding) {
  if (!finding)
    return "none";
  std::string layer =
      finding->layer < 0 ? std::string() : ", layer " + std::to_string(finding->layer);
  return finding->launch + " (" + finding->op + layer + ", step " + std::to_string(finding->step) +
         "): " + finding->what;
}

std::string textOf(const Report &report) {
  std::string text = "op             launches     values  worst/allowed\n";
  for (const OpSummary &op : report.ops) {
    char line[96];
    std::snprintf(line, sizeof(line), "%-14s %8lld %10lld  %13s\n", op.op.c_str(),
                  static_cast<long long>(op.launches), static_cast<long long>(op.values),
                  textOf(op.worstShare).c_str());
    text += line;
  }
  text += "first difference: " + textOf(report.first) + "\n";
  text += "worst difference: " + textOf(report.worst) + "\n";
  text += std::string(report.passed() ? "verified" : "not verified") + ": " +
          std::to_string(report.values) + " values of " + std::to_string(report.launches) +
          " launches in " + std::to_string(report.steps) + " steps of " +
          std::to_string(report.rows) + " rows\n";
  return text;
}

} // namespace grok::verification
