// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-bench/Report.h"
#include "tools/commandline/CommandLine.h"

#include <cstdlib>
#include <fstream>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>

namespace grok::tools {
using nlohmann::ordered_json;

double Run::shareOfReadLimit() const {
  const double limit = readLimit.bytesPerSecond;
  return limit > 0 ? weightBytesPerToken * result.decodeTokensPerSecond / limit : 0;
}

uint64_t peakRssBytes() {
  // Not getrusage: its peak begins with that of the process that called exec.
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmHWM:"))
      return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024; // "VmHWM:  1234 kB"
  return 0;
}

static std::string cpuName() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line))
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "unknown";
}

ordered_json describeMachine() {
  utsname system{};
  uname(&system);
  const auto memory =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return {{"cpu", cpuName()},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_bytes", memory},
          {"system", std::string(system.sysname) + " " + system.release}};
}

/// A rate that was not measured is null.
static ordered_json rateOf(double rate) { return rate > 0 ? ordered_json(rate) : ordered_json(); }

static ordered_json toJson(const Run &run, const runtime::ModelInfo &model) {
  ordered_json json = {{"batch", run.measured.batch},
                       {"depth", run.measured.depth},
                       {"threads", run.threads},
                       {"prompt_tokens", run.measured.promptTokens},
                       {"new_tokens", run.measured.newTokens},
                       {"prefill_tokens_per_second", rateOf(run.result.prefillTokensPerSecond)},
                       {"decode_tokens_per_second", rateOf(run.result.decodeTokensPerSecond)},
                       {"weight_bytes_per_token", run.weightBytesPerToken},
                       {"read_limit_bytes_per_second", run.readLimit.bytesPerSecond},
                       {"read_limit_runs_per_thread", run.readLimit.runs},
                       {"share_of_read_limit", rateOf(run.shareOfReadLimit())},
                       {"load_seconds", model.loadSeconds},
                       {"peak_rss_bytes", run.peakRssBytes}};
  if (run.roof.bytes > 0)
    json["explain"] = explanationsToJson(run);
  return json;
}

ordered_json toJson(const Report &report) {
  ordered_json runs = ordered_json::array();
  for (const Run &run : report.runs)
    runs.push_back(toJson(run, report.model));
  const runtime::ModelInfo &model = report.model;
  return {{"machine", describeMachine()},
          {"model",
           {{"name", model.name},
            {"weights", model.weights},
            {"numerics", model.numerics},
            {"cpu_level", model.cpuLevel},
            {"graphs", report.withGraphs},
            {"weight_bytes", model.weightBytes},
            {"producer", model.producer}}},
          {"runs", runs},
          {"notes", report.notes}};
}

std::string format(const char *pattern, double value) {
  char text[32];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

static std::string showRate(double rate) {
  return rate > 0 ? format(rate < 10 ? "%.3f" : "%.1f", rate) : "-";
}

static std::vector<std::string> cellsOf(const Run &run) {
  const double share = run.shareOfReadLimit();
  return {std::to_string(run.measured.batch),
          std::to_string(run.measured.depth),
          std::to_string(run.threads),
          std::to_string(run.measured.promptTokens) + " + " +
              std::to_string(run.measured.newTokens),
          showRate(run.result.prefillTokensPerSecond),
          showRate(run.result.decodeTokensPerSecond),
          format("%.2f", run.weightBytesPerToken / 1e6),
          format("%.1f", run.readLimit.bytesPerSecond / 1e9) + " x" +
              std::to_string(run.readLimit.runs),
          share > 0 ? format("%.1f %%", 100 * share) : "-"};
}

std::string alignRight(const std::vector<std::vector<std::string>> &rows) {
  std::string text;
  for (const std::vector<std::string> &row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      size_t width = 0;
      for (const std::vector<std::string> &other : rows)
        width = std::max(width, other[column].size());
      const std::string padding(width - row[column].size(), ' ');
      text += column == 0 ? row[column] + padding : "  " + padding + row[column];
    }
    text += '\n';
  }
  return text;
}

std::string toTable(const Report &report) {
  std::vector<std::vector<std::string>> rows = {{"batch", "depth", "threads", "tokens",
                                                 "prefill tok/s", "decode tok/s", "MB/tok",
                                                 "limit GB/s", "share"}};
  for (const Run &run : report.runs)
    rows.push_back(cellsOf(run));
  const runtime::ModelInfo &model = report.model;
  std::string text = model.name + ", weights " + model.weights + " (" +
                     showSize(model.weightBytes) + "), numerics " + model.numerics + ", " +
                     model.cpuLevel + "\n" + alignRight(rows);
  text += "load " + format("%.3f s", model.loadSeconds) + ", peak memory " +
          showSize(report.runs.empty() ? peakRssBytes() : report.runs.back().peakRssBytes) + "\n";
  for (const Run &run : report.runs)
    text += explanationsToText(run);
  for (const std::string &note : report.notes)
    text += "note: " + note + "\n";
  return text;
}

} // namespace grok::tools
