// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/measurement/Explanation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

namespace grok::runtime {

double Explanation::outsideSeconds() const {
  double inside = 0;
  for (const OpShare &op : ops)
    inside += op.seconds;
  return std::max(stepSeconds - inside, 0.0);
}

double expertFactor(int64_t experts, int64_t selected, double rows) {
  const double share = static_cast<double>(selected) / static_cast<double>(experts);
  return (1 - std::pow(1 - share, rows)) / share;
}

/// Adds what one launch computes and reads in a step of this shape.
static double addWork(OpShare &op, const LaunchTiming &launch, const StepShape &shape,
                      const ModelInfo &model, const Roof &roof) {
  double rows = launch.op == "unembed" ? shape.logitRows : shape.rows;
  auto bytes = static_cast<double>(launch.weightBytes);
  double multiplyAdds = static_cast<double>(launch.multiplyAdds) * rows;
  if (launch.op == "gate_up" || launch.op == "down_combine")
    bytes *= expertFactor(model.numExperts, model.numSelectedExperts, rows);
  if (launch.op == "embed")
    bytes *= rows;
  if (launch.op == "attention") {
    const double layerBytes =
        static_cast<double>(model.pageBytes) / static_cast<double>(model.numLayers);
    bytes += shape.sequences * shape.positions * layerBytes / static_cast<double>(model.pageTokens);
    // Scores, and the weighted sum of values.
    multiplyAdds += 2 * rows * shape.positions * static_cast<double>(model.queryColumns);
  }
  op.bytes += bytes;
  op.multiplyAdds += multiplyAdds;
  const double peak = launch.onIntegers ? roof.integerMultiplyAdds : roof.floatMultiplyAdds;
  const double reading = roof.bytes > 0 ? bytes / roof.bytes : 0;
  const double computing = peak > 0 ? multiplyAdds / peak : 0;
  op.predictedSeconds += std::max(reading, computing);
  return computing - reading;
}

Explanation explainSteps(std::span<const LaunchTiming> timings, int64_t steps, double seconds,
                         const StepShape &shape, const ModelInfo &model, const Roof &roof) {
  Explanation explanation;
  if (steps == 0)
    return explanation;
  const auto count = static_cast<double>(steps);
  explanation.stepSeconds = seconds / count;
  std::vector<double> arithmeticLeads;
  for (const LaunchTiming &launch : timings) {
    if (launch.calls == 0)
      continue;
    auto found = std::find_if(explanation.ops.begin(), explanation.ops.end(),
                              [&](const OpShare &op) { return op.op == launch.op; });
    const auto index = static_cast<size_t>(found - explanation.ops.begin());
    if (found == explanation.ops.end()) {
      explanation.ops.push_back({.op = std::string(launch.op)});
      arithmeticLeads.push_back(0);
    }
    OpShare &op = explanation.ops[index];
    // Of two buckets that a part has used, each step ran one.
    const double share = static_cast<double>(launch.calls) / count;
    OpShare work;
    arithmeticLeads[index] += addWork(work, launch, shape, model, roof) * share;
    op.launches += share;
    op.seconds += launch.seconds / count;
    op.bytes += work.bytes * share;
    op.multiplyAdds += work.multiplyAdds * share;
    op.predictedSeconds += work.predictedSeconds * share;
  }
  for (size_t i = 0; i < explanation.ops.size(); ++i)
    explanation.ops[i].isArithmetic = arithmeticLeads[i] > 0;
  std::sort(explanation.ops.begin(), explanation.ops.end(), [](const OpShare &a, const OpShare &b) {
    return std::tie(b.seconds, a.op) < std::tie(a.seconds, b.op);
  });
  return explanation;
}

std::string describeLargestGap(const Explanation &explanation) {
  if (explanation.ops.empty())
    return "";
  const auto largest =
      std::max_element(explanation.ops.begin(), explanation.ops.end(),
                       [](const OpShare &a, const OpShare &b) { return a.gap() < b.gap(); });
  char text[256];
  if (explanation.outsideSeconds() > std::max(largest->gap(), 0.0))
    std::snprintf(text, sizeof text,
                  "The largest gap is outside the kernels: %.3g ms of the %.3g ms of a step.",
                  1e3 * explanation.outsideSeconds(), 1e3 * explanation.stepSeconds);
  else if (largest->gap() <= 0)
    std::snprintf(text, sizeof text, "Every kernel is at its limit.");
  else
    std::snprintf(text, sizeof text,
                  "The largest gap is %s: %.3g ms of the %.3g ms of a step, where its %s would "
                  "take %.3g ms; %.3g ms to gain.",
                  largest->op.c_str(), 1e3 * largest->seconds, 1e3 * explanation.stepSeconds,
                  largest->isArithmetic ? "arithmetic" : "reading", 1e3 * largest->predictedSeconds,
                  1e3 * largest->gap());
  return text;
}

} // namespace grok::runtime
