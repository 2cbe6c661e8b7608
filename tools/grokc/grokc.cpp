// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grokc: a Grok-1 model in, an artifact out.
#include "compiler/machines/MachineFile.h"
#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/nvidia/Chips.h"
#include "frontends/graph/Config.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/grokc/Flags.h"
#include "tools/grokc/Progress.h"

#include "mlir/IR/AsmState.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdio>
#include <cstdlib>

using namespace grok;
using namespace grok::compiler;

static int fail(const std::string &error) {
  std::fprintf(stderr, "grokc: %s\n", error.c_str());
  return 1;
}

static int list(const std::string &what) {
  if (what == "presets")
    for (const std::string &name : graph::presetNames())
      std::printf("%s\n", name.c_str());
  if (what == "targets") {
    std::printf("cpu\n");
    for (const CpuLevel &level : cpuLevels())
      std::printf("cpu-%s\n", level.name.c_str());
    for (const NvidiaChip &chip : nvidiaChips())
      std::printf("%s\n", chip.name.c_str());
  }
  if (what == "machines")
    for (const machines::KnownMachine &machine : machines::knownMachines())
      std::printf("%-10s  %s\n", machine.name.c_str(), machine.description.c_str());
  return 0;
}

/// LLVM ends the process where it cannot go on: in one line, as any other error.
static void reportFatalError(void *, const char *reason, bool) {
  std::fprintf(stderr, "grokc: LLVM cannot go on: %s; report this as a bug of the compiler\n",
               reason);
  std::_Exit(1);
}

/// MLIR's flags have their own registry and parser. Returns an error or nothing.
static std::string parseMlirFlags(const std::vector<std::string> &flags) {
  registerPipelines();
  mlir::registerTransformsPasses();
  mlir::registerPassManagerCLOptions();
  mlir::registerDefaultTimingManagerCLOptions();
  mlir::registerAsmPrinterCLOptions();
  std::vector<const char *> arguments = {"grokc"};
  for (const std::string &flag : flags)
    arguments.push_back(flag.c_str());
  std::string errors;
  llvm::raw_string_ostream stream(errors);
  if (llvm::cl::ParseCommandLineOptions(static_cast<int>(arguments.size()), arguments.data(), "",
                                        &stream))
    return "";
  llvm::StringRef first = llvm::StringRef(errors).split('\n').first;
  first.consume_front("grokc: ");
  return first.str();
}

static std::optional<std::string> checkTokenizer(std::span<const std::byte> model,
                                                 int64_t vocabSize) {
  auto tokenizer = runtime::Tokenizer::load(model, vocabSize);
  return tokenizer ? std::nullopt : std::optional(tokenizer.error());
}

static Result<std::vector<int32_t>> tokenize(std::span<const std::byte> model, int64_t vocabSize,
                                             std::string_view text) {
  auto tokenizer = runtime::Tokenizer::load(model, vocabSize);
  if (!tokenizer)
    return tl::unexpected(tokenizer.error());
  auto ids = tokenizer->encode(text);
  if (!ids)
    return tl::unexpected(ids.error());
  return *ids;
}

int main(int argc, char **argv) {
  llvm::install_fatal_error_handler(reportFatalError);
  auto flags = parseFlags(argc, argv);
  if (!flags)
    return flags.error();
  if (!flags->list.empty())
    return list(flags->list);
  if (!flags->mlirFlags.empty())
    if (std::string error = parseMlirFlags(flags->mlirFlags); !error.empty()) {
      std::fprintf(stderr, "grokc: %s\n", error.c_str());
      return 2;
    }
  Progress progress;
  CompileHooks hooks = progress.hooks();
  hooks.configurePasses = [](mlir::PassManager &passes) {
    (void)mlir::applyPassManagerCLOptions(passes);
    mlir::applyDefaultTimingPassManagerCLOptions(passes);
  };
  hooks.checkTokenizer = checkTokenizer;
  hooks.tokenize = tokenize;
  auto report = compileModel(flags->compile, hooks);
  if (!report)
    return fail(report.error());
  if (flags->compile.lastPhase == Phase::artifact)
    printReport(*report);
  if (report->verification && !report->verification->passed())
    return fail(report->output + ": " + report->verification->first->launch +
                " differs from the reference interpreter; do not use the artifact, report this");
  return 0;
}
