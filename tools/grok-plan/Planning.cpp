// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-plan/Planning.h"

#include "compiler/machines/MachineFile.h"
#include "compiler/planning/Fit.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-plan/PlanningOptions.h"
#include "tools/grok-plan/Table.h"

namespace grok::tools {
using runtime::fail;
using runtime::Result;

static std::string showFit(const std::vector<planning::FitRow> &rows) {
  Table table({"devices", "weights", "fits", "sharding", "a rank", "tokens/s", "roof", "bound by"},
              {4, 5, 6});
  std::string reasons;
  for (const planning::FitRow &row : rows) {
    table.add({row.devices, row.weights, row.fits ? "yes" : "no", row.sharding,
               planning::gigabytes(row.bytesPerRank),
               row.fits ? planning::formatNumber("%.1f", row.tokensPerSecond) : "-",
               planning::formatNumber("%.1f", row.roofTokensPerSecond), row.boundBy});
    reasons += row.devices + ", " + row.weights + ": " + row.why + "\n";
  }
  return table.print(0) + "\n" + reasons;
}

static Result<void> fit(const PlanningOptions &options) {
  const auto model = modelOf(options);
  const auto workload = workloadOf(options);
  auto limits = limitsOf(options, model ? model->layers : 0);
  if (!model || !workload || !limits)
    return fail(!model ? model.error() : !workload ? workload.error() : limits.error());
  limits->top = 1;
  std::vector<planning::FitRow> rows;
  for (const std::string &name : options.devices) {
    const auto machine = machines::findMachine(name);
    if (!machine)
      return fail("--devices, ", machine.error());
    // One row for each format that was named.
    const std::vector<search::WeightFormat> formats = limits->formats;
    for (size_t i = 0; i < std::max<size_t>(1, formats.size()); ++i) {
      search::Limits one = *limits;
      if (!formats.empty())
        one.formats = {formats[i]};
      const auto row = planning::fitOn(*model, *machine, *workload, one);
      if (!row)
        return fail(row.error());
      rows.push_back(*row);
    }
  }
  return writeOut(options.json ? planning::toJson(rows).dump(2) + '\n' : showFit(rows));
}

static constexpr const char *fitFooter = R"(
Answers from the model's sizes alone: no weights are read. `tokens/s` is what
the cost model predicts for all sequences of the batch together while they
decode; `roof` is what memory bandwidth alone would allow on all devices. GB are
10^9 bytes and of the fullest rank: weights, key/value cache of the whole
context, activations, buffers of collectives. docs/sharding.md says how.)";

static constexpr const char *searchFooter = R"(
Ranks every way to split the model over the machine and to store its weights, by
the cost model of docs/sharding.md. What is printed below the table: why the first
plan leads, and at which other value of a number of the machine file another plan
would win, while the other numbers stay. A certificate holds all that as JSON, with
the bounds of what was not tried; grok-plan check tries all plans and confirms it.)";

static void declareSearch(CLI::App &app, PlanningOptions &options) {
  CLI::App *searching =
      app.add_subcommand("search", "Rank the ways to split a model over a machine, and say why");
  declareWorkload(*searching, options);
  searching->add_option("--top", options.top, "Plans to show")
      ->type_name("N")
      ->check(CLI::Range(1, 1000).description(""))
      ->capture_default_str();
  CLI::Option *measuring =
      searching
          ->add_option("--measure", options.measure,
                       "Also compile and run the best N plans here, each with all cores, and set "
                       "what they reach beside the prediction")
          ->type_name("N")
          ->check(CLI::Range(1, 64).description(""));
  searching
      ->add_option("--machine-out", options.machineOut,
                   "With --measure: also write the machine file with the share of its bandwidth "
                   "that was reached")
      ->type_name("FILE.json")
      ->needs(measuring);
  searching->add_option("--certificate", options.certificate, "Also write what proves the choice")
      ->type_name("FILE.json");
  searching
      ->add_option("--emit-report", options.report, "Also write a page with pictures of the choice")
      ->type_name("FILE.html");
  searching->footer(searchFooter);
}

std::vector<Command> declarePlanning(CommandLine &commandLine) {
  const auto options = std::make_shared<PlanningOptions>();
  CLI::App &app = commandLine.app();
  CLI::App *fitting = app.add_subcommand(
      "fit", "Say whether a model fits machines, how fast it would be there, and why");
  declareWorkload(*fitting, *options);
  fitting->footer(fitFooter);
  declareSearch(app, *options);
  CLI::App *checking =
      app.add_subcommand("check", "Try all plans and confirm what a certificate says");
  checking->add_option("CERTIFICATE", options->certificate, "Written by grok-plan search")
      ->required()
      ->type_name("");
  return {{"fit", [options] { return fit(*options); }},
          {"search", [options] { return searchPlans(*options); }},
          {"check", [options] { return checkCertificate(options->certificate); }}};
}

} // namespace grok::tools
