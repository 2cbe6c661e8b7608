// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The compiler's story as a pass pipeline, phase by phase.
#pragma once

#include "passes/sharding/search/Machine.h"
#include "passes/sharding/search/Workload.h"

#include "mlir/Pass/PassManager.h"
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grok::compiler {

/// In order. Import makes the module, kernels and artifact leave MLIR; the
/// others are passes.
enum class Phase { import, quantize, shard, fuse, outline, memory, kernels, artifact };

inline constexpr std::array allPhases = {Phase::import,  Phase::quantize, Phase::shard,
                                         Phase::fuse,    Phase::outline,  Phase::memory,
                                         Phase::kernels, Phase::artifact};

std::string_view nameOf(Phase phase);
std::optional<Phase> phaseNamed(std::string_view name);

/// A sharding by name, or the machine and use to search one for.
struct ShardingTask {
  std::string text; // "tp2.pp2"
  std::optional<search::Machine> machine;
  search::Workload workload;

  bool isOneRank() const { return text.empty() && !machine; }
};

struct PhaseOptions {
  int64_t maxContext = 8192;
  int64_t maxStepRows = 512;
  int64_t pageTokens = 32;
  std::vector<int64_t> smallSteps; // row bounds of steps between one row and the most
  bool rowAttention = false;       // fast attention of one row is a kernel of its own
  std::string kv = "f32";          // element type of cache pages
  int64_t activationBits = 8;      // of inputs that meet integer weights in the fast mode, or 15

  // What `grok-select-quantization` is asked for.
  std::string weights = "stored";
  double bitsPerWeight = 0;
  int64_t budgetBytes = 0;
  std::vector<std::string> assigned;

  ShardingTask sharding;
};

/// Adds the passes of one phase (none for import, kernels, artifact).
void addPhase(mlir::OpPassManager &passes, Phase phase, const PhaseOptions &options);

/// Registers every pass of the project and the pipeline `grok-to-plan`.
void registerPipelines();

} // namespace grok::compiler
