// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grok-plan: looks into compiled models and plans how to run them.
#include "runtime/output/PendingFile.h"
#include "runtime/plan/GpuKernels.h"
#include "runtime/plan/PlanCheck.h"
#include "tools/commandline/CommandLine.h"
#include "tools/commandline/Terminal.h"
#include "tools/grok-plan/Difference.h"
#include "tools/grok-plan/Planning.h"
#include "tools/grok-plan/Show.h"

#include <algorithm>
#include <filesystem>

namespace grok::tools {
using runtime::fail;
using runtime::Result;

namespace {
struct PlanOptions {
  std::string artifact;
  std::string folder; // of extract
  std::string other;  // of diff
  bool json = false;
};
} // namespace

Result<OpenedPlan> openPlan(const std::string &artifact) {
  const std::string path = artifact + "/model.plan";
  Result<runtime::PlanDocument> document = runtime::readPlan(path);
  if (!document)
    return fail(document.error());
  std::error_code error;
  const uint64_t fileBytes = std::filesystem::file_size(path, error);
  if (error)
    return fail(path, ", cannot be measured: ", error.message());
  return OpenedPlan{.document = std::move(*document), .fileBytes = fileBytes};
}

static Result<void> show(const PlanOptions &options) {
  const Result<OpenedPlan> opened = openPlan(options.artifact);
  if (!opened)
    return fail(opened.error());
  return writeOut(options.json ? showJson(*opened).dump(2) + '\n' : showText(*opened));
}

/// A file name made of names from a plan, which may hold any printable text.
static std::string fileNameOf(std::string_view first, std::string_view second,
                              const char *extension) {
  std::string name(first);
  name.append("-").append(second).append(extension);
  std::ranges::replace_if(
      name,
      [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.'; },
      '_');
  return name.starts_with('.') ? "_" + name : name;
}

namespace {
/// Writes files into a folder and remembers their names.
class Extraction {
public:
  explicit Extraction(std::string folder) : folder(std::move(folder)) {}

  Result<void> add(const std::string &name, std::string_view bytes) {
    const std::string path = folder + "/" + name;
    return runtime::writeFile(path, bytes).map([&] { written += path + '\n'; });
  }
  Result<void> add(const std::string &name, const flatbuffers::Vector<uint8_t> *bytes) {
    if (!bytes || bytes->size() == 0)
      return {};
    return add(name, {reinterpret_cast<const char *>(bytes->data()), bytes->size()});
  }
  /// PTX, machine code and translation of every kernel for one chip.
  Result<void> add(const plan::Plan &plan, const plan::GpuCode &code) {
    using runtime::textOf;
    Result<void> done = add(fileNameOf(textOf(code.chip()), "emulation", ".so"), code.emulation());
    for (const runtime::GpuKernelEntry &each : runtime::gpuKernelsOf(plan, code)) {
      const std::string_view chip = textOf(code.chip()), symbol = textOf(each.kernel->symbol());
      if (done)
        done = add(fileNameOf(chip, symbol, ".ptx"), textOf(each.code->ptx()));
      if (done)
        done = add(fileNameOf(chip, symbol, ".cubin"), each.code->cubin());
    }
    return done;
  }

  std::string written; // one path a line

private:
  std::string folder;
};
} // namespace

static Result<void> extract(const PlanOptions &options) {
  const Result<OpenedPlan> opened = openPlan(options.artifact);
  if (!opened)
    return fail(opened.error());
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error)
    return fail(options.folder, ", cannot be made a folder: ", error.message());
  Extraction extraction(options.folder);
  using runtime::textOf;
  for (const plan::CodeBlob *blob : *opened->root().code())
    if (auto done = extraction.add(fileNameOf(textOf(blob->target()), textOf(blob->level()), ".so"),
                                   blob->image());
        !done)
      return done;
  for (const plan::GpuCode *code : *opened->root().gpu_code())
    if (auto done = extraction.add(opened->root(), *code); !done)
      return done;
  return writeOut(extraction.written);
}

static void declareCommands(CommandLine &commandLine, PlanOptions &options) {
  CLI::App &app = commandLine.app();
  app.require_subcommand(1);
  CLI::App *showing =
      app.add_subcommand("show", "Print model, weights, programs, kernels and code");
  showing->add_option("ARTIFACT", options.artifact, "Folder written by grokc")
      ->required()
      ->type_name("");
  showing->add_flag("--json", options.json, "Print JSON, with the kernels' specifications");
  CLI::App *extracting = app.add_subcommand(
      "extract", "Write the kernels: .so of CPU levels, .ptx and .cubin of GPUs");
  extracting->add_option("ARTIFACT", options.artifact, "Folder written by grokc")
      ->required()
      ->type_name("");
  extracting->add_option("DIR", options.folder, "Folder to write to, made if missing")
      ->required()
      ->type_name("");
  CLI::App *comparing =
      app.add_subcommand("diff", "Say how two artifacts, or two searches, differ");
  comparing
      ->add_option("A", options.artifact, "Folder written by grokc, or JSON of grok-plan search")
      ->required()
      ->type_name("");
  comparing->add_option("B", options.other, "Another one of the same kind")
      ->required()
      ->type_name("");
  comparing->add_flag("--json", options.json, "Print JSON");
}

static int runMain(int argc, char **argv) {
  CommandLine commandLine("grok-plan", "Looks into compiled models and plans how to run them.");
  PlanOptions options;
  declareCommands(commandLine, options);
  std::vector<Command> commands = declarePlanning(commandLine);
  commands.push_back({"show", [&] { return show(options); }});
  commands.push_back({"diff", [&] { return diff(options.artifact, options.other, options.json); }});
  commands.push_back({"extract", [&] { return extract(options); }});
  if (const std::optional<int> status = commandLine.parse(argc, argv))
    return *status;
  const auto chosen = std::ranges::find_if(commands, [&](const Command &command) {
    return commandLine.app().got_subcommand(command.name);
  });
  const Result<void> done = chosen->run();
  return done ? exitDone : commandLine.reportError(done.error());
}

} // namespace grok::tools

int main(int argc, char **argv) {
  grok::tools::refuseBrokenPipes();
  return grok::tools::runTool("grok-plan", [&] { return grok::tools::runMain(argc, argv); });
}
