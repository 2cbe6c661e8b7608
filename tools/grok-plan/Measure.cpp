// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-plan/Measure.h"
#include "compiler/pipeline/TemporaryFolder.h"
#include "compiler/planning/Fit.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-plan/Table.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace grok::tools {
using runtime::fail;
using runtime::Result;
namespace fs = std::filesystem;

static constexpr int64_t measuredTokens = 32; // decoded by each plan
/// Beyond it something else than the share of the bandwidth is off.
static constexpr double mostCorrection = 2;

/// For the models; gone with all that is in it.
static Result<compiler::TemporaryFolder> makeWorkFolder() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error)
    return fail("--measure, TMPDIR is not a folder; set it to one with room for the weights");
  auto folder = compiler::TemporaryFolder::create(parent / "grok-plan");
  if (!folder)
    return fail(folder.error(), "; set TMPDIR to a folder with room for the weights");
  return folder;
}

/// Runs a tool that lies beside this one; what it prints goes nowhere.
static Result<void> runSibling(std::vector<std::string> words) {
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  const std::string tool = (own.parent_path() / words.front()).string();
  std::vector<char *> arguments;
  for (std::string &word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int started =
      posix_spawn(&child, tool.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (started != 0)
    return fail("--measure, cannot start ", tool);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail("--measure, ", words.front(), " failed for ", words.back());
  return {};
}

static std::vector<std::string> compileWords(const PlanningOptions &options,
                                             const search::Plan &plan,
                                             const std::string &artifact) {
  std::vector<std::string> words = {"grokc",
                                    options.model,
                                    "--kv=" + options.kv,
                                    "--sharding=" + plan.sharding.text(),
                                    "--max-context=" + std::to_string(options.workload.context),
                                    "-o",
                                    artifact};
  if (!fs::exists(options.model + "/ckpt-0"))
    words.emplace_back("--weights-from=random:1");
  if (plan.format.name.starts_with("int") && plan.format.name != "int8")
    words.push_back("--weights=" + plan.format.name);
  return words;
}

static Result<double> measure(const PlanningOptions &options, const search::Plan &plan,
                              const std::string &folder) {
  if (plan.format.name.find('+') != std::string::npos)
    return fail("--measure, ", plan.format.name,
                " is a mix that grokc chooses by tensor; give --weights=int8, int4 or int3");
  const std::string artifact = folder + "/artifact", out = folder + "/bench.json";
  const std::vector<std::string> bench = {
      "grok-bench", artifact, "--batch",         std::to_string(options.workload.batch),
      "--depth",    "0",      "--prompt-tokens", "16",
      "--json",     out,      "--new-tokens",    std::to_string(measuredTokens)};
  Result<void> done =
      runSibling(compileWords(options, plan, artifact)).and_then([&] { return runSibling(bench); });
  if (!done)
    return fail(done.error());
  std::ifstream file(out);
  const auto document = nlohmann::json::parse(file, nullptr, false);
  if (document.is_discarded() || document["runs"].empty())
    return fail("--measure, grok-bench wrote no rate");
  return document["runs"][0].value("decode_tokens_per_second", 0.0);
}

Result<std::vector<MeasuredPlan>> measurePlans(const PlanningOptions &options,
                                               const std::vector<search::Plan> &plans) {
  const Result<compiler::TemporaryFolder> folder = makeWorkFolder();
  if (!folder)
    return fail(folder.error());
  std::vector<MeasuredPlan> measured;
  const size_t count = std::min(plans.size(), static_cast<size_t>(options.measure));
  for (size_t i = 0; i < count; ++i) {
    const search::Plan &plan = plans[i];
    if (isatty(STDERR_FILENO))
      std::fprintf(stderr, "\rmeasuring %s (%zu of %zu) ", plan.sharding.text().c_str(), i + 1,
                   count);
    const Result<double> rate = measure(options, plan, folder->path());
    if (!rate)
      return fail(rate.error());
    measured.push_back({plan.sharding.text(), plan.format.name, plan.tokensPerSecond, *rate});
  }
  return measured;
}

std::string showMeasured(const std::vector<MeasuredPlan> &plans) {
  Table table({"sharding", "weights", "predicted tokens/s", "measured tokens/s", "error"},
              {2, 3, 4});
  for (const MeasuredPlan &plan : plans)
    table.add({plan.sharding, plan.weights, planning::formatNumber("%.1f", plan.predicted),
               planning::formatNumber("%.1f", plan.measured),
               planning::formatNumber("%+.0f %%", 100 * plan.error())});
  const auto best = std::max_element(plans.begin(), plans.end(),
                                     [](const MeasuredPlan &left, const MeasuredPlan &right) {
                                       return left.measured < right.measured;
                                     });
  return table.print(0) + "\nFastest as measured: " + best->sharding + ", " + best->weights + "\n";
}

Result<std::string> calibrateMachine(const std::string &text, const std::string &model,
                                     const std::vector<MeasuredPlan> &plans) {
  auto machine = nlohmann::ordered_json::parse(text, nullptr, false);
  if (machine.is_discarded() || !machine.contains("bandwidth_share"))
    return fail("--machine-out: the machine has no bandwidth_share to calibrate");
  std::vector<double> ratios;
  for (const MeasuredPlan &plan : plans)
    ratios.push_back(plan.measured / plan.predicted);
  std::nth_element(ratios.begin(), ratios.begin() + std::ssize(ratios) / 2, ratios.end());
  const double ratio = ratios[ratios.size() / 2];
  if (ratio > mostCorrection || ratio * mostCorrection < 1)
    return fail("--machine-out: measured rates are ", planning::formatNumber("%.2f", ratio),
                " times the predicted ones; calibrate by a model that fills no cache, on a "
                "computer that does nothing else");
  auto &share = machine["bandwidth_share"];
  share["value"] = std::min(1.0, share["value"].get<double>() * ratio);
  share["source"] = "measured by grok-plan search --measure on " + model;
  const std::time_t now = std::time(nullptr);
  char date[16];
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  share["date"] = date;
  return machine.dump(2) + '\n';
}

} // namespace grok::tools
