// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Flags of grok-interpret.
#include "tools/grok-interpret/Options.h"

namespace grok::tools {

/// Flags that arrive as text and are read after parsing.
namespace {
struct RawOptions {
  std::string tokens;
  std::string level = "import";
  std::string numerics = "f32";
  std::string cache; // default: the numerics' own type
};
} // namespace

static void declare(CLI::App &app, InterpretOptions &options, RawOptions &raw) {
  app.add_option("MODEL", options.model, "Folder with config.json and ckpt-0, or a preset")
      ->required()
      ->type_name("");
  app.add_option("--weights-from", options.weightsFrom,
                 "Folder that holds, or is, ckpt-0 (default: MODEL)")
      ->type_name("DIR");
  app.add_option("--tokens", raw.tokens, "Token ids to feed, comma separated")
      ->required()
      ->type_name("IDS");
  app.add_option("--chunk", options.chunk, "Tokens per step (default: all in one)")
      ->type_name("N")
      ->check(CLI::PositiveNumber.description(""));
  CommandLine::setValues(
      app.add_option("--level", raw.level, "import (plain ops, default) or fuse"),
      {"import", "fuse"}, {});
  app.add_option("--sharding", options.sharding,
                 "Run the programs of all ranks: tpN, epN, ppN, joined by dots (default: one rank)")
      ->type_name("SHARDING");
  CommandLine::setValues(
      app.add_option("--numerics", raw.numerics, "f32 (default) or bf16, the literal roundings"),
      {"f32", "bf16"}, {});
  CommandLine::setValues(
      app.add_option("--kv", raw.cache,
                     "f32, bf16, int8 or fp8: type of the cache (default: the numerics')"),
      {"f32", "bf16", "int8", "fp8"}, {});
  app.add_option("--logits-out", options.logitsFile,
                 "Write float32 [positions, vocabulary]: the logits after every token")
      ->type_name("FILE.npy");
  app.add_option("--dump", options.dumpFolder,
                 "Write every op's results to DIR/STEP/PLACE.npy, float32 [rows, values of a row]")
      ->type_name("DIR");
}

std::variant<InterpretOptions, int> parseInterpretOptions(CommandLine &commandLine, int argc,
                                                          char **argv) {
  InterpretOptions options;
  RawOptions raw;
  declare(commandLine.app(), options, raw);
  if (std::optional<int> code = commandLine.parse(argc, argv))
    return *code;
  runtime::Result<std::vector<int32_t>> ids = parseIds(raw.tokens);
  if (!ids)
    return commandLine.reportUsage("--tokens: " + ids.error());
  options.tokens = std::move(*ids);
  if (options.chunk == 0)
    options.chunk = static_cast<int64_t>(options.tokens.size());
  options.isFused = raw.level == "fuse";
  options.graph.numerics = raw.numerics == "bf16" ? graph::Numerics::bf16 : graph::Numerics::f32;
  const std::string &cache = raw.cache.empty() ? raw.numerics : raw.cache;
  options.graph.cacheElement = *graph::cacheElementNamed(cache);
  return options;
}

} // namespace grok::tools
