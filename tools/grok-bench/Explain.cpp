// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the time of a step goes, as text and JSON.
#include "tools/grok-bench/Report.h"

namespace grok::tools {
using nlohmann::ordered_json;
using runtime::Explanation;
using runtime::OpShare;

static ordered_json toJson(const Explanation &explanation) {
  ordered_json ops = ordered_json::array();
  for (const OpShare &op : explanation.ops)
    ops.push_back({{"op", op.op},
                   {"launches", op.launches},
                   {"milliseconds", 1e3 * op.seconds},
                   {"bytes", op.bytes},
                   {"multiply_adds", op.multiplyAdds},
                   {"predicted_milliseconds", 1e3 * op.predictedSeconds},
                   {"limit", op.isArithmetic ? "arithmetic" : "reading"},
                   {"share_of_roof", op.seconds > 0 ? op.predictedSeconds / op.seconds : 0}});
  return {{"step_milliseconds", 1e3 * explanation.stepSeconds},
          {"outside_milliseconds", 1e3 * explanation.outsideSeconds()},
          {"ops", ops},
          {"largest_gap", runtime::describeLargestGap(explanation)}};
}

ordered_json explanationsToJson(const Run &run) {
  ordered_json json = {{"roof",
                        {{"read_bytes_per_second", run.roof.bytes},
                         {"float_multiply_adds_per_second", run.roof.floatMultiplyAdds},
                         {"integer_multiply_adds_per_second", run.roof.integerMultiplyAdds}}}};
  if (!run.decode.ops.empty())
    json["decode"] = toJson(run.decode);
  if (!run.prefill.ops.empty())
    json["prefill"] = toJson(run.prefill);
  return json;
}

static std::string toText(const Explanation &explanation) {
  std::vector<std::vector<std::string>> rows = {
      {"  op", "launches", "ms", "of step", "MB", "GMAC", "predicted ms", "limit", "of roof"}};
  for (const OpShare &op : explanation.ops)
    rows.push_back({"  " + op.op, format("%.0f", op.launches), format("%.3f", 1e3 * op.seconds),
                    format("%.1f %%", 100 * op.seconds / explanation.stepSeconds),
                    format("%.2f", op.bytes / 1e6), format("%.3f", op.multiplyAdds / 1e9),
                    format("%.3f", 1e3 * op.predictedSeconds),
                    op.isArithmetic ? "arithmetic" : "reading",
                    op.predictedSeconds > 0 && op.seconds > 0
                        ? format("%.0f %%", 100 * op.predictedSeconds / op.seconds)
                        : "-"});
  const double outside = explanation.outsideSeconds();
  rows.push_back({"  (outside)", "-", format("%.3f", 1e3 * outside),
                  format("%.1f %%", 100 * outside / explanation.stepSeconds), "-", "-", "-", "-",
                  "-"});
  return alignRight(rows) + "  " + runtime::describeLargestGap(explanation) + "\n";
}

std::string explanationsToText(const Run &run) {
  if (run.roof.bytes == 0)
    return "";
  std::string text = "\nbatch " + std::to_string(run.measured.batch) + ", depth " +
                     std::to_string(run.measured.depth) + ": reading " +
                     format("%.1f GB/s (", run.roof.bytes / 1e9) +
                     std::to_string(run.readLimit.runs) + " runs a thread), float32 " +
                     format("%.1f, int8 ", run.roof.floatMultiplyAdds / 1e9) +
                     format("%.1f GMAC/s\n", run.roof.integerMultiplyAdds / 1e9);
  if (!run.decode.ops.empty())
    text += " a step of decode, " + format("%.3f ms\n", 1e3 * run.decode.stepSeconds) +
            toText(run.decode);
  if (!run.prefill.ops.empty())
    text += " a step of prefill, " + format("%.3f ms\n", 1e3 * run.prefill.stepSeconds) +
            toText(run.prefill);
  return text;
}

} // namespace grok::tools
