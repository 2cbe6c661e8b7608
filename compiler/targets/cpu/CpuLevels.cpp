// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/CpuLevels.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::compiler {

static std::vector<std::string> joined(std::vector<std::string> features,
                                       llvm::ArrayRef<const char *> more) {
  features.insert(features.end(), more.begin(), more.end());
  return features;
}

static std::vector<CpuLevel> makeLevels() {
  const std::vector<std::string> v2 = {"cx16", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2"};
  const std::vector<std::string> v3 =
      joined(v2, {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"});
  const std::vector<std::string> v4 =
      joined(v3, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni"});
  // Blocks fill the vector registers: 16 xmm, 16 ymm or 32 zmm, of which a
  // vector of 16 floats takes 4, 2 or 1. Prefetching ahead of four streams: on a
  // Sapphire Rapids class core without it 75-80 % of the read limit, with 512 B
  // 82-92 %, 1 or 2 KiB 92-97 % (bench-cpu-kernels, 2026-11-22); on Zen 3 more
  // than 512 B costs 10 points or more.
  const TileShape sse = {.hasFma = false,
                         .gemvPanels = 2,
                         .gemvUnroll = 1,
                         .prefetchBytes = 512,
                         .block = {2, 1},
                         .remainder = {1, 1},
                         .chunkRows = 96,
                         .attentionHeads = 2,
                         .attentionKeys = 1,
                         .products = ByteProducts::pairs128,
                         .fewRows = {2, 1},
                         .integerRows = 96,
                         .manyRows = {2, 1}};
  const TileShape avx2 = {.hasFma = true,
                          .gemvPanels = 4,
                          .gemvUnroll = 1,
                          .prefetchBytes = 512,
                          .block = {6, 1},
                          .remainder = {2, 2},
                          .chunkRows = 96,
                          .attentionHeads = 6,
                          .attentionKeys = 1,
                          .products = ByteProducts::pairs256,
                          .fewRows = {4, 1},
                          .integerRows = 96,
                          .manyRows = {4, 1}};
  const TileShape avx512 = {.hasFma = true,
                            .gemvPanels = 4,
                            .gemvUnroll = 1,
                            .prefetchBytes = 1024,
                            .block = {12, 2},
                            .remainder = {4, 4},
                            .chunkRows = 96,
                            .attentionHeads = 8,
                            .attentionKeys = 2,
                            .products = ByteProducts::dots512,
                            .fewRows = {4, 4},
                            .integerRows = 200,
                            .manyRows = {5, 4}};
  const std::vector<std::string> amx =
      joined(v4, {"avx512bf16", "amx-tile", "amx-int8", "amx-bf16"});
  TileShape tiles = avx512;
  tiles.hasTiles = true;
  tiles.integerRows = 160; // whole pairs of tiles; whole blocks, where no tile holds a unit
  return {{"x86-64-v2", "x86-64-v2", "", v2, sse},
          {"x86-64-v3", "x86-64-v3", "", v3, avx2},
          {"x86-64-v4", "x86-64-v4", "+avx512vnni", v4, avx512},
          {"x86-64-v4-amx", "x86-64-v4", "+avx512vnni,+avx512bf16,+amx-tile,+amx-int8,+amx-bf16",
           amx, tiles}};
}

llvm::ArrayRef<CpuLevel> cpuLevels() {
  static const std::vector<CpuLevel> levels = makeLevels();
  return levels;
}

static std::vector<CpuLevel> makeExpandedLevels() {
  CpuLevel dots =
      *llvm::find_if(cpuLevels(), [](const CpuLevel &level) { return level.name == "x86-64-v3"; });
  dots.name = "x86-64-v3-dots";
  dots.tiles.products = ByteProducts::dots512;
  dots.tiles.fewRows = {2, 2}; // small code compiles sooner
  dots.tiles.manyRows = {2, 2};
  dots.tiles.expandsProducts = true;
  CpuLevel tiles = dots;
  tiles.name = "x86-64-v3-tiles";
  tiles.tiles.hasTiles = true;
  return {dots, tiles};
}

llvm::ArrayRef<CpuLevel> expandedLevels() {
  static const std::vector<CpuLevel> levels = makeExpandedLevels();
  return levels;
}

const CpuLevel *cpuLevelNamed(llvm::StringRef name) {
  for (llvm::ArrayRef<CpuLevel> levels : {cpuLevels(), expandedLevels()})
    for (const CpuLevel &level : levels)
      if (level.name == name)
        return &level;
  return nullptr;
}

// Linux gives a process tile registers only if it asks for them.
static bool askForTiles() {
  constexpr int requestPermission = 0x1023, tileData = 18; // asm/prctl.h
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

bool canHostRun(const CpuLevel &level) {
  static const bool hasTiles = askForTiles();
  static const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  return llvm::all_of(level.features, [](llvm::StringRef feature) {
    return host.lookup(feature) && (hasTiles || !feature.starts_with("amx-"));
  });
}

} // namespace grok::compiler
