// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan search` and `grok-plan check`.
#include "compiler/machines/MachineFile.h"
#include "compiler/planning/Explanation.h"
#include "compiler/planning/Fit.h"
#include "compiler/report/ShardingReport.h"
#include "runtime/output/PendingFile.h"
#include "runtime/plan/File.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-plan/Measure.h"
#include "tools/grok-plan/Table.h"

namespace grok::tools {
using runtime::fail;
using runtime::Result;

static std::string showPlans(const planning::SearchDocument &document) {
  Table table({"", "sharding", "weights", "ranks", "a rank", "ms/token", "tokens/s",
               "first token ms", "served/s", "bound by"},
              {0, 3, 4, 5, 6, 7, 8});
  int64_t row = 0;
  for (const search::Plan &plan : document.certificate.ranked.plans)
    table.add({std::to_string(++row), plan.sharding.text(), plan.format.name,
               std::to_string(plan.sharding.ranks()), planning::gigabytes(plan.memory.total()),
               planning::formatNumber("%.2f", 1e3 * plan.tokenSeconds),
               planning::formatNumber("%.1f", plan.tokensPerSecond),
               planning::formatNumber("%.1f", 1e3 * plan.firstTokenSeconds),
               planning::formatNumber("%.1f", plan.servedPerSecond), plan.boundBy()});
  return table.print(0);
}

static std::string showSearch(const planning::SearchDocument &document) {
  std::string text = planning::headlineOf(document) + "\n\n" + showPlans(document) + "\n" +
                     planning::explainLead(document) + "\n";
  const std::vector<std::string> flips = planning::explainFlips(document);
  for (const std::string &line : flips)
    text += "- " + line + "\n";
  if (flips.empty())
    text += "- No other value of one number of the machine changes the choice.\n";
  return text + planning::explainProof(document) + "\n";
}

static Result<planning::SearchDocument> searchFor(const PlanningOptions &options) {
  auto model = modelOf(options);
  auto workload = workloadOf(options);
  auto limits = limitsOf(options, model ? model->layers : 0);
  if (!model || !workload || !limits)
    return fail(!model ? model.error() : !workload ? workload.error() : limits.error());
  if (options.devices.size() != 1)
    return fail("--devices, search plans for one machine at a time, give one");
  const auto machine = machines::findMachine(options.devices.front());
  if (!machine)
    return fail("--devices, ", machine.error());
  limits->top = static_cast<size_t>(options.top);
  auto certificate = search::certify(*model, *machine, *workload, *limits);
  if (!certificate)
    return fail(machine->name, ": ", certificate.error());
  if (certificate->ranked.plans.empty()) {
    const auto row = planning::fitOn(*model, *machine, *workload, *limits);
    return fail(machine->name, ": no plan fits, ", row ? row->why : row.error());
  }
  return planning::SearchDocument{*model,  options.devices.front(), *machine, *workload,
                                  *limits, std::move(*certificate)};
}

static Result<void> writeText(const std::string &path, const std::string &text) {
  Result<runtime::PendingFile> file = runtime::PendingFile::create(path);
  if (!file)
    return fail(file.error());
  return file->append(text).and_then([&] { return file->commit(); });
}

/// The tuner's part of a search: measured beside predicted, and the machine file.
static Result<void> tune(const PlanningOptions &options, const planning::SearchDocument &document) {
  const auto measured = measurePlans(options, document.certificate.ranked.plans);
  if (!measured)
    return fail(measured.error());
  if (!options.machineOut.empty()) {
    constexpr uint64_t mostBytes = 1 << 20;
    const std::string &path = options.devices.front();
    const Result<runtime::FileBytes> file = runtime::readFile(path, mostBytes);
    if (!file)
      return fail("--machine-out: --devices has to be a machine file: ", file.error());
    const auto calibrated =
        calibrateMachine({reinterpret_cast<const char *>(file->span().data()), file->span().size()},
                         options.model, *measured);
    if (!calibrated)
      return fail(calibrated.error());
    if (Result<void> written = writeText(options.machineOut, *calibrated); !written)
      return fail("--machine-out: ", written.error());
  }
  return writeOut("\n" + showMeasured(*measured));
}

Result<void> searchPlans(const PlanningOptions &options) {
  const Result<planning::SearchDocument> document = searchFor(options);
  if (!document)
    return fail(document.error());
  const std::string json = planning::toJson(*document).dump(2) + '\n';
  if (!options.certificate.empty())
    if (Result<void> written = writeText(options.certificate, json); !written)
      return fail("--certificate: ", written.error());
  if (!options.report.empty())
    if (Result<void> written = writeText(options.report, report::htmlOf(*document)); !written)
      return fail("--emit-report: ", written.error());
  Result<void> shown = writeOut(options.json ? json : showSearch(*document));
  return options.measure ? shown.and_then([&] { return tune(options, *document); }) : shown;
}

Result<void> checkCertificate(const std::string &path) {
  constexpr uint64_t mostBytes = 64 << 20;
  const Result<runtime::FileBytes> file = runtime::readFile(path, mostBytes);
  if (!file)
    return fail(file.error());
  const auto claim = planning::parseClaim(
      {reinterpret_cast<const char *>(file->span().data()), file->span().size()}, path);
  if (!claim)
    return fail(claim.error());
  const auto machine = machines::findMachine(claim->machine);
  if (!machine)
    return fail(path, ", machine: ", machine.error());
  const auto counts = search::checkClaim(*claim, *machine);
  if (!counts)
    return fail(path, ": does not hold: ", counts.error());
  return writeOut(path + ": holds; " + std::to_string(counts->plans) + " plans tried, " +
                  std::to_string(counts->families) + " bounds and " +
                  std::to_string(counts->intervals) + " intervals confirmed\n");
}

} // namespace grok::tools
