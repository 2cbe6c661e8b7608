// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/pipeline/ArtifactPhase.h"

#include "compiler/artifact/OutputFile.h"
#include "compiler/artifact/OutputFolder.h"
#include "compiler/artifact/PlanReading.h"
#include "compiler/artifact/WorkJournal.h"
#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

/// Packed weights of this size are left for the next run if this one fails.
static constexpr uint64_t bytesWorthKeeping = uint64_t(1) << 30;

static tl::unexpected<std::string> diagnosed() {
  return tl::unexpected(std::string("phase artifact"));
}

/// The ranks of one replica, each with its part of the tensors of its stage.
static Result<std::vector<RankWeights>> placeRanks(ModuleOp module) {
  auto sharding = module->getAttrOfType<ShardingAttr>("grok.sharding");
  const int64_t tp = sharding ? sharding.getTp() : 1, ep = sharding ? sharding.getEp() : 1;
  std::vector<std::vector<PackedTensor>> stages;
  for (auto layout : module.getOps<plan::LayoutOp>()) {
    FailureOr<std::vector<PackedTensor>> tensors = readLayout(layout);
    if (failed(tensors))
      return diagnosed();
    stages.push_back(std::move(*tensors));
  }
  std::vector<RankWeights> ranks;
  const size_t count = stages.size() * tp * ep;
  for (size_t number = 0; number < count; ++number) {
    RankWeights rank;
    rank.stage = static_cast<int>(number / (tp * ep));
    rank.tensors = stages[rank.stage];
    for (PackedTensor &tensor : rank.tensors)
      tensor.placeOnRank(number % tp, tp, number / tp % ep, ep);
    char name[64];
    std::snprintf(name, sizeof name, "model-cpu-%05zu-of-%05zu.weights.safetensors", number, count);
    rank.file = placeTensors(name, rank.tensors);
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

static Result<void> writeWeights(const std::string &folder, const ArtifactSources &sources,
                                 PlanInputs &plan) {
  if (sources.weights)
    return writeWeightFiles(folder, plan.ranks, *sources.weights, sources.progress);
  for (RankWeights &rank : plan.ranks)
    rank.file.name.clear();
  return {};
}

static Result<uint64_t> writePlanFile(const std::string &folder, ModuleOp module,
                                      const PlanInputs &plan) {
  FailureOr<std::vector<std::byte>> bytes = writePlan(module, plan);
  if (failed(bytes))
    return diagnosed();
  auto file = OutputFile::create(folder + "/model.plan", bytes->size());
  if (!file)
    return tl::unexpected(file.error());
  return file->writeAt(0, *bytes).and_then([&] { return file->close(); }).map([&] {
    return static_cast<uint64_t>(bytes->size());
  });
}

Result<uint64_t> compiler::writeArtifact(const std::string &target, const ArtifactSources &sources,
                                         PlanInputs &plan) {
  auto ranks = placeRanks(sources.module);
  if (!ranks)
    return tl::unexpected(ranks.error());
  plan.ranks = std::move(*ranks);
  std::string identity; // of work that an identical run can go on with
  if (sources.weights)
    for (const RankWeights &rank : plan.ranks)
      identity += identityOf(rank.tensors, *sources.weights, sources.origin);
  auto folder = OutputFolder::create(target, identity);
  if (!folder)
    return tl::unexpected(folder.error());
  auto written = writeWeights(folder->path(), sources, plan);
  if (!written) {
    uint64_t finished = 0;
    for (const RankWeights &rank : plan.ranks)
      finished += rank.file.finishedBytes;
    if (finished >= bytesWorthKeeping)
      folder->keep();
    return tl::unexpected(written.error());
  }
  auto bytes = writePlanFile(folder->path(), sources.module, plan);
  if (!bytes)
    return bytes;
  if (auto committed = folder->commit(); !committed)
    return tl::unexpected(committed.error());
  return bytes;
}
