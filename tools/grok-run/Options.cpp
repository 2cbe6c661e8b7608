// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-run/Options.h"

#include <algorithm>

namespace grok::tools {

/// Flags that arrive as text and are read after parsing.
namespace {
struct RawOptions {
  std::string tokens;
  std::string kvMemory;
};
} // namespace

static void declarePrompt(CLI::App &app, RunOptions &options, RawOptions &raw) {
  app.add_option("ARTIFACT", options.artifact, "Folder written by grokc")
      ->required()
      ->type_name("");
  app.add_option("--prompt", options.promptText,
                 "Text to continue; - reads standard input, without its last newline")
      ->type_name("TEXT");
  app.add_option("--prompts", options.promptsFile,
                 "File with one prompt per line, decoded together; a model without tokenizer "
                 "takes lines of ids")
      ->type_name("FILE");
  app.add_option("--tokens", raw.tokens, "Prompt as token ids, comma separated")->type_name("IDS");
}

static void declareSampling(CLI::App &app, RunOptions &options) {
  app.add_option("--max-new-tokens", options.maxNewTokens,
                 "New tokens per prompt; 0 only feeds the prompt (default: 128, less if the "
                 "context is full before)")
      ->type_name("N");
  app.add_option("--temperature", options.sampling.temperature,
                 "0 takes the likeliest token (default); above 0 draws")
      ->type_name("T");
  app.add_option("--top-p", options.sampling.topP,
                 "Draws from the likeliest tokens that together reach this probability (default 1)")
      ->type_name("P");
  app.add_option("--seed", options.sampling.seed,
                 "Same seed, same draws; every prompt draws as if it were alone (default 0)")
      ->type_name("S")
      ->check(wholeNumber());
  app.add_flag("--stop-at-eos", options.stopAtEos, "End at the end-of-sequence token");
  app.add_option("--stop", options.stopTexts,
                 "End before this text appears; may be given several times")
      ->type_name("TEXT")
      ->allow_extra_args(false);
}

static void declareMachine(CommandLine &commandLine, RunOptions &options, RawOptions &raw) {
  CLI::App &app = commandLine.app();
  declareDevice(app, options.device);
  app.add_option("--threads", options.threads, "Worker threads (default: one per core)")
      ->type_name("N")
      ->check(threadRange());
  app.add_option("--prefill-chunk", options.prefillChunk,
                 "Most prompt tokens of one sequence in a step (default: what a step takes)")
      ->type_name("N")
      ->check(CLI::PositiveNumber.description(""));
  app.add_option("--kv-memory", raw.kvMemory,
                 "Key/value cache, such as 512MiB or 4GiB (default: what the prompts need)")
      ->type_name("SIZE");
  declareRanks(app, options.ranks);
  commandLine.addOptionOfLaterVersion("--beams");
}

static void declareOutput(CLI::App &app, RunOptions &options) {
  app.add_option("--logits-out", options.logitsFile,
                 "Write float32 [positions, vocabulary]: the logits after every token that was "
                 "fed; with --prompts, FILE.0, FILE.1, ...")
      ->type_name("FILE.npy");
  app.add_option("--launches-out", options.launchesFile,
                 "Write what each launch wrote, in a few numbers: where two devices part ways")
      ->type_name("FILE.tsv");
  app.add_flag("--print-tokens", options.printTokens,
               "Print the ids of the new tokens as the last line, one line per prompt");
}

/// What the declarations cannot say. The error is for the user.
static runtime::Result<void> finishOptions(RunOptions &options, const RawOptions &raw,
                                           bool hasTokens, bool hasKvMemory) {
  if (options.promptText.has_value() + options.promptsFile.has_value() + hasTokens != 1)
    return runtime::fail("prompt, give exactly one of --prompt, --prompts and --tokens");
  if (options.maxNewTokens.value_or(0) < 0)
    return runtime::fail("--max-new-tokens: ", *options.maxNewTokens,
                         " is negative, give 0 or more");
  if (std::ranges::count(options.stopTexts, ""))
    return runtime::fail("--stop: the text is empty, give at least one character");
  if (hasTokens) {
    runtime::Result<std::vector<int32_t>> ids = parseIds(raw.tokens);
    if (!ids)
      return runtime::fail("--tokens: ", ids.error());
    options.tokens = std::move(*ids);
  }
  if (hasKvMemory) {
    const runtime::Result<uint64_t> size = parseSize(raw.kvMemory);
    if (!size)
      return runtime::fail("--kv-memory: ", size.error());
    if (*size == 0)
      return runtime::fail("--kv-memory: 0 holds no token, give a size such as 4GiB");
    options.kvMemory = *size;
  }
  return checkSampling(options.sampling).map_error([](const std::string &why) {
    return "--" + why;
  });
}

std::variant<RunOptions, int> parseRunOptions(CommandLine &commandLine, int argc, char **argv) {
  RunOptions options;
  RawOptions raw;
  CLI::App &app = commandLine.app();
  declarePrompt(app, options, raw);
  declareSampling(app, options);
  declareMachine(commandLine, options, raw);
  declareOutput(app, options);
  if (const std::optional<int> status = commandLine.parse(argc, argv))
    return *status;
  if (runtime::Result<void> finished =
          finishOptions(options, raw, app.count("--tokens") > 0, app.count("--kv-memory") > 0);
      !finished)
    return commandLine.reportUsage(finished.error());
  return options;
}

} // namespace grok::tools
