// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// grokc's flags by CLI11. A flag appears here once it works.
#include "tools/grokc/Flags.h"

#include "compiler/planning/SearchJson.h"
#include "compiler/targets/cpu/CpuKernels.h"
#include "compiler/targets/nvidia/Chips.h"
#include "tools/commandline/CommandLine.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

using namespace grok;
using namespace grok::compiler;

using Error = tl::unexpected<std::string>;

/// Named in the documentation for later versions: known, but not offered.
static constexpr const char *laterFlags[] = {"--reuse-weights"};

static std::string defaultCache() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return std::string(cache) + "/grokc";
  if (const char *home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.cache/grokc";
  return "off";
}

static int usageError(const std::string &what) {
  std::fprintf(stderr, "grokc: %s; see grokc --help\n", what.c_str());
  return 2;
}

/// The first flag that a later version has, or nothing.
static std::optional<std::string> laterFlag(const std::vector<std::string> &arguments) {
  for (const std::string &argument : arguments) {
    std::string name = argument.substr(0, argument.find('='));
    for (const char *later : laterFlags)
      if (name == later)
        return name;
  }
  return std::nullopt;
}

/// "cpu" (all levels), "cpu-x86-64-v3", "sm_90a", or several.
static tl::expected<void, std::string> parseTargets(const std::vector<std::string> &targets,
                                                    CompileOptions &compile) {
  auto add = [](std::vector<std::string> &list, const std::string &name) {
    if (std::find(list.begin(), list.end(), name) == list.end())
      list.push_back(name);
  };
  for (const std::string &target : targets) {
    bool known = false;
    for (const CpuLevel &level : cpuLevels())
      if (target == "cpu" || target == "cpu-" + level.name) {
        known = true;
        add(compile.levels, level.name);
      }
    if (nvidiaChipNamed(target)) {
      known = true;
      add(compile.chips, target);
    }
    if (!known)
      return Error("--target=" + target + ": unknown target; try --list targets");
  }
  return {};
}

namespace {
/// Values as they stand on the command line.
struct Texts {
  std::vector<std::string> targets{"cpu"};
  std::string numerics = "fast", kv, phase = "artifact", cache = defaultCache();
  std::string weights = "stored", budget, goal = "latency";
  int64_t maxContext = 0;
  std::optional<int64_t> activationBits;
};
} // namespace

/// What a sharding is searched for; as grok-plan search has them.
static constexpr const char *workloadFlags[] = {"--goal", "--batch", "--prompt", "--new-tokens"};

static void addWorkloadOptions(CLI::App &app, search::Workload &workload, Texts &texts) {
  app.add_option("--goal", texts.goal,
                 "What --sharding=auto is best for. latency: least time between tokens; "
                 "throughput: most new tokens per second, prompts included; first-token: least "
                 "time from prompt to first token")
      ->check(CLI::IsMember({"latency", "throughput", "first-token"}))
      ->default_str("latency");
  const auto add = [&](const char *name, int64_t &value, const char *help) {
    app.add_option(name, value, help)
        ->type_name("N")
        ->check(CLI::Range(int64_t(1), int64_t(1) << 24).description(""))
        ->capture_default_str();
  };
  add("--batch", workload.batch, "With --sharding=auto: sequences at a time, on all devices");
  add("--prompt", workload.prompt, "With --sharding=auto: tokens of a prompt");
  add("--new-tokens", workload.newTokens, "With --sharding=auto: tokens written after a prompt");
}

static void addOptions(CLI::App &app, Flags &flags, Texts &texts) {
  CompileOptions &compile = flags.compile;
  app.add_option("MODEL", compile.model,
                 "Folder with config.json and ckpt-0/, or a preset (--list presets)");
  app.add_option("-o,--output", compile.output,
                 "Artifact folder; with --compile-to a .mlir file, - for standard output")
      ->type_name("ARTIFACT");
  app.add_option("--target", texts.targets,
                 "cpu (every level), cpu-<level>, GPUs sm_80, sm_90a, sm_100a; several with commas")
      ->delimiter(',')
      ->default_str("cpu");
  app.add_flag("--emulate", compile.emulate,
               "Also translate GPU kernels for grok-run --device=emulated, which needs no GPU");
  app.add_flag("--persistent", compile.persistent,
               "Experimental: GPUs decode a token in one launch, by a kernel made of all others");
  app.add_option("--numerics", texts.numerics,
                 "fast: matrix inputs in 8 or 15 bits, within 0.1 % perplexity of f32; f32: every "
                 "activation float32; bf16: the released model's literal roundings")
      ->check(CLI::IsMember({"fast", "f32", "bf16"}))
      ->default_str("fast");
  app.add_option(
         "--activation-bits", texts.activationBits,
         "Of matrix inputs under --numerics=fast, 8 or 15 (default: 15 with a GPU among the "
         "targets, else 8)")
      ->type_name("8|15")
      ->check(CLI::IsMember({8, 15}).description(""));
  app.add_option("--weights", texts.weights,
                 "Format of the weight matrices: int4 and int3 are of the experts, all else is "
                 "then int8; auto chooses within --bits-per-weight or --memory-budget (default: as "
                 "stored)")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4", "int3", "auto"}));
  app.add_option("--bits-per-weight", compile.bitsPerWeight,
                 "Average over all weight matrices, scales counted; implies --weights=auto")
      ->check(CLI::Range(2.0, 32.0))
      ->type_name("B");
  app.add_option("--memory-budget", texts.budget,
                 "Most bytes of weights, cache at --max-context and activations, as 6GiB; implies "
                 "--weights=auto")
      ->type_name("SIZE");
  app.add_option("--calibrate", compile.calibrate,
                 "Text to quantise by (GPTQ); its last tenth measures the result")
      ->type_name("TEXT");
  app.add_option("--emit-report", compile.emitReport,
                 "What was chosen for the weights and how good it is, as a page or as JSON")
      ->type_name("FILE.html|FILE.json");
  app.add_option(
         "--kv", texts.kv,
         "Element type of the key/value cache: f32, bf16, or int8 or fp8 (e4m3) with a scale per "
         "position and head (default: f32 under --numerics=f32, else bf16)")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "fp8"}));
  app.add_option("--max-context", texts.maxContext,
                 "Positions of one sequence (default: the model's sequence_len)");
  app.add_option("--max-step-rows", compile.maxStepRows, "Most token rows in one step")
      ->check(CLI::Range(1, 8192))
      ->default_val(512);
  app.add_option("--page-tokens", compile.pageTokens, "Positions in one page of the cache")
      ->check(CLI::IsMember({16, 32, 64, 128, 256}))
      ->default_val(32);
  app.add_option("--weights-from", compile.weightsFrom,
                 "Folder that holds or is ckpt-0; random:SEED; none = a plan to look at")
      ->type_name("DIR|random:SEED|none");
  app.add_option("--devices", compile.devices,
                 "Machine to spread the model over: a number of ranks on this kind of processor, a "
                 "known machine or part of one as 4xh100 (--list machines), or a machine file")
      ->type_name("N|MACHINE|FILE.json");
  app.add_option(
         "--sharding", compile.sharding,
         "How to spread the model over ranks: auto, or dot-joined tpN (heads, expert hidden "
         "size, vocabulary), epN (experts), ppN (stages of layers), dpN (replicas), as "
         "tp2.pp2; tp2.ep2:hidden=0-3,7 (or =all) lets ep too split the hidden size in those "
         "layers "
         "(default: auto with --devices, else one rank)")
      ->type_name("auto|tpN.epN.ppN.dpN");
  addWorkloadOptions(app, compile.workload, texts);
  app.add_flag("--reproducible", compile.reproducible,
               "Logits have the same bits under every sharding, batch and chunking");
  app.add_option("--compile-to", texts.phase,
                 "Stop after import, quantize, shard, fuse, outline, memory or kernels and print "
                 "the module")
      ->type_name("PHASE");
  app.add_option("--dump-phases", compile.dumpPhases, "Write the module after each phase here")
      ->type_name("DIR");
  app.add_option("--kernel-cache", texts.cache, "Folder of compiled kernels, or off")
      ->type_name("DIR|off")
      ->capture_default_str();
  app.add_flag("--verify", compile.verify,
               "Run the artifact beside the reference interpreter and compare every launch");
  app.add_option("--threads", compile.threads, "Threads (default: one per core)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--list", flags.list, "List presets, targets or machines and exit")
      ->check(CLI::IsMember({"presets", "targets", "machines"}));
  app.set_version_flag("--version", std::string("grokc ") + GROKC_VERSION);
  app.footer("MLIR's own flags work too: --mlir-timing, --mlir-print-ir-after-all, ...\n"
             "Exit codes: 0 done, 1 the input is bad, 2 wrong usage.");
}

static tl::expected<void, std::string> finishCache(CompileOptions &compile, const Texts &texts) {
  const bool isLiteral = compile.numerics == Numerics::bf16;
  if (isLiteral && !texts.kv.empty() && texts.kv != "bf16")
    return Error("--kv=" + texts.kv + ": the literal bf16 mode keeps a bf16 cache");
  compile.kv = compile.numerics == Numerics::f32 ? CacheElement::f32 : CacheElement::bf16;
  if (!texts.kv.empty())
    compile.kv = *cacheElementNamed(texts.kv);
  return {};
}

static tl::expected<void, std::string> finishActivations(CompileOptions &compile,
                                                         const Texts &texts) {
  if (texts.activationBits && compile.numerics != Numerics::fast)
    return Error("--activation-bits: only --numerics=fast rounds matrix inputs to codes");
  compile.activationBits = texts.activationBits.value_or(compile.chips.empty() ? 8 : 15);
  return {};
}

static tl::expected<void, std::string> finishWeights(CompileOptions &compile, const Texts &texts) {
  const bool hasBudget = !texts.budget.empty() || compile.bitsPerWeight > 0;
  compile.weights = texts.weights;
  if (hasBudget && texts.weights == "stored")
    compile.weights = "auto";
  if (hasBudget && compile.weights != "auto")
    return Error("--weights=" + texts.weights +
                 " leaves nothing to choose; give it or a budget, not both");
  if (!hasBudget && compile.weights == "auto")
    return Error("--weights=auto: give --bits-per-weight or --memory-budget");
  if (!compile.calibrate.empty() && compile.weights == "stored")
    return Error("--calibrate: nothing is quantised; give --weights=int4, int3 or a budget too");
  if (!compile.emitReport.empty() && compile.weights == "stored")
    return Error("--emit-report: nothing is quantised; give --weights or a budget too");
  if (!compile.emitReport.empty() && !compile.emitReport.ends_with(".html") &&
      !compile.emitReport.ends_with(".json"))
    return Error("--emit-report=" + compile.emitReport + ": expected a name in .html or .json");
  if (!texts.budget.empty()) {
    const auto bytes = tools::parseSize(texts.budget);
    if (!bytes || *bytes == 0)
      return Error("--memory-budget=" + texts.budget + ": expected a size such as 6GiB or 512MiB");
    compile.memoryBudget = *bytes;
  }
  if (compile.numerics == Numerics::bf16 && compile.weights != "stored" &&
      compile.weights != "bf16" && compile.weights != "int8" && compile.weights != "f32")
    return Error("--weights=" + compile.weights +
                 ": the literal bf16 mode is defined for released weights only");
  return {};
}

static tl::expected<void, std::string> checkGpuOptions(const CompileOptions &compile) {
  if (compile.emulate && compile.chips.empty())
    return Error("--emulate: translates GPU kernels; add a GPU to --target, as cpu,sm_90a");
  if (compile.persistent && compile.chips.empty())
    return Error("--persistent: is for GPUs; add one to --target, as cpu,sm_90a");
  if (compile.numerics == Numerics::bf16 && !compile.chips.empty())
    return Error("--numerics=bf16: the literal mode runs on CPUs only; GPUs take fast or f32");
  if (compile.verify && compile.levels.empty())
    return Error("--verify: runs on the CPU; add cpu to --target");
  return {};
}

static tl::expected<void, std::string> finish(Flags &flags, const Texts &texts, bool hasContext) {
  CompileOptions &compile = flags.compile;
  if (auto done = parseTargets(texts.targets, compile); !done)
    return done;
  compile.numerics = texts.numerics == "bf16"  ? Numerics::bf16
                     : texts.numerics == "f32" ? Numerics::f32
                                               : Numerics::fast;
  if (auto done = checkGpuOptions(compile); !done)
    return done;
  if (auto done = finishCache(compile, texts); !done)
    return done;
  if (auto done = finishActivations(compile, texts); !done)
    return done;
  if (auto done = finishWeights(compile, texts); !done)
    return done;
  if (hasContext)
    compile.maxContext = texts.maxContext;
  compile.workload.goal = planning::goalNamed(texts.goal).value_or(search::Goal::latency);
  auto phase = phaseNamed(texts.phase);
  if (!phase)
    return Error("--compile-to=" + texts.phase + ": unknown phase");
  compile.lastPhase = *phase;
  if (compile.verify && *phase != Phase::artifact)
    return Error("--verify: needs an artifact; leave out --compile-to=" + texts.phase);
  if (compile.verify && compile.weightsFrom == "none")
    return Error("--verify: needs weights; leave out --weights-from=none");
  compile.kernelCache = texts.cache == "off" ? "" : texts.cache;
  if (flags.list.empty() && compile.model.empty())
    return Error("MODEL is missing");
  if (flags.list.empty() && compile.output.empty())
    return Error("-o ARTIFACT is missing");
  return {};
}

tl::expected<Flags, int> grok::parseFlags(int argc, char **argv) {
  Flags flags;
  Texts texts;
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    std::string_view argument = argv[i];
    if (argument.starts_with("--mlir-"))
      flags.mlirFlags.insert(flags.mlirFlags.begin(), argv[i]);
    else
      arguments.push_back(argv[i]);
  }
  if (auto later = laterFlag(arguments))
    return tl::unexpected(usageError(*later + ": not in this version"));
  flags.compile.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app("Compiles a Grok-1 model ahead of time into an artifact that grok-run decodes.",
               "grokc");
  addOptions(app, flags, texts);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return tl::unexpected(app.exit(error));
    return tl::unexpected(usageError(error.what()));
  }
  if (auto done = finish(flags, texts, app.count("--max-context") > 0); !done)
    return tl::unexpected(usageError(done.error()));
  const CompileOptions &compile = flags.compile;
  const bool isSearch =
      !compile.devices.empty() && (compile.sharding.empty() || compile.sharding == "auto");
  for (const char *name : workloadFlags)
    if (!isSearch && app.count(name) > 0)
      return tl::unexpected(usageError(std::string(name) +
                                       ": nothing is searched; give --devices and leave the "
                                       "sharding to --sharding=auto"));
  return flags;
}
