// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Phase times and the packing bar.
#include "tools/grokc/Progress.h"

#include <cinttypes>
#include <cstdio>
#include <unistd.h>

using namespace grok;
using namespace grok::compiler;

Progress::Progress() : isTerminal(::isatty(STDERR_FILENO)) {}

static double scaled(uint64_t bytes, double unit) { return static_cast<double>(bytes) * unit; }

void Progress::clear() { std::fputs("\r\033[K", stderr); }

void Progress::bar(std::string_view tensor, uint64_t done, uint64_t total) {
  constexpr int width = 30;
  int filled = total ? static_cast<int>(done * width / total) : width;
  std::fprintf(stderr, "\r\033[K  [%.*s%.*s] %3d %%  %.2f of %.2f GB  %.*s", filled,
               "##############################", width - filled, "..............................",
               total ? static_cast<int>(done * 100 / total) : 100, scaled(done, 1e-9),
               scaled(total, 1e-9), static_cast<int>(tensor.size()), tensor.data());
  if (done == total)
    clear();
}

CompileHooks Progress::hooks() {
  CompileHooks hooks;
  if (!isTerminal) {
    hooks.packing = [](std::string_view, uint64_t, uint64_t) {};
    return hooks;
  }
  hooks.phaseStarted = [](std::string_view phase) {
    std::fprintf(stderr, "\r\033[K  %.*s ...", static_cast<int>(phase.size()), phase.data());
  };
  hooks.phaseEnded = [this](const PhaseTime &) { clear(); };
  hooks.packing = [this](std::string_view tensor, uint64_t done, uint64_t total) {
    bar(tensor, done, total);
  };
  return hooks;
}

void grok::printReport(const CompileReport &report) {
  double total = 0;
  for (const PhaseTime &phase : report.phases) {
    std::printf("%-10s %8.2f s  %s\n", phase.name.c_str(), phase.seconds, phase.detail.c_str());
    total += phase.seconds;
  }
  std::printf("%-10s %8.2f s\n", "total", total);
  std::printf("%s: plan %.2f MB", report.output.c_str(), scaled(report.planBytes, 1e-6));
  if (report.weightBytes)
    std::printf(", weights %.2f MB", scaled(report.weightBytes, 1e-6));
  std::printf("\n");
  if (report.quantization)
    std::printf("\n%s", report::textOf(*report.quantization).c_str());
  if (report.verification)
    std::printf("\n%s", verification::textOf(*report.verification).c_str());
}
