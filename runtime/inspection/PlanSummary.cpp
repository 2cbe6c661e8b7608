// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/inspection/PlanSummary.h"
#include "runtime/plan/GpuKernels.h"
#include "runtime/plan/KernelABI.h"
#include "runtime/plan/PlanCheck.h"

#include <algorithm>

namespace grok::runtime {

std::string withoutLayer(std::string_view tensorName) {
  constexpr std::string_view marker = "decoder_layer_";
  std::string name(tensorName);
  const size_t start = name.find(marker);
  if (start == std::string::npos)
    return name;
  const size_t digits = start + marker.size();
  const size_t end = std::min(name.find_first_not_of("0123456789", digits), name.size());
  return end == digits ? name : name.replace(digits, end - digits, "*");
}

static WeightKind describe(const plan::WeightTensor &tensor) {
  const auto *shape = tensor.logical_shape() ? tensor.logical_shape() : tensor.shape();
  return {.name = withoutLayer(textOf(tensor.name())),
          .count = 1,
          .dtype = std::string(nameOf(tensor.dtype())),
          .packing = std::string(textOf(tensor.packing())),
          .logicalShape = {shape->begin(), shape->end()},
          .rowGroups = tensor.row_groups(),
          .unit = tensor.k_unit(),
          .slices = tensor.k_slices(),
          .bytes = tensor.bytes()};
}

static bool isSameKind(const WeightKind &a, const WeightKind &b) {
  return a.name == b.name && a.dtype == b.dtype && a.packing == b.packing &&
         a.logicalShape == b.logicalShape && a.rowGroups == b.rowGroups && a.unit == b.unit &&
         a.slices == b.slices;
}

std::vector<WeightKind> summarizeWeights(const plan::Layout &layout) {
  std::vector<WeightKind> kinds;
  for (const plan::WeightTensor *tensor : *layout.tensors()) {
    const WeightKind found = describe(*tensor);
    const auto same = std::ranges::find_if(
        kinds, [&](const WeightKind &kind) { return isSameKind(kind, found); });
    if (same == kinds.end()) {
      kinds.push_back(found);
      continue;
    }
    ++same->count;
    same->bytes += found.bytes;
  }
  return kinds;
}

/// `name` as seen from `layer`: without "layerN." of its own layer, and with
/// "previous." for the one before, so that layers can be compared.
static std::string inLayer(std::string_view name, int32_t layer) {
  const auto prefix = [](int32_t of) { return "layer" + std::to_string(of) + "."; };
  if (const std::string own = prefix(layer); name.starts_with(own))
    return std::string(name.substr(own.size()));
  if (const std::string before = prefix(layer - 1); layer > 0 && name.starts_with(before))
    return "previous." + std::string(name.substr(before.size()));
  return std::string(name);
}

static const plan::Buffer &bufferAt(const plan::Bucket &bucket, int32_t index) {
  return *bucket.buffers()->Get(static_cast<uint32_t>(index));
}

static std::string nameOf(const plan::Buffer &buffer, int32_t layer) {
  if (buffer.kind() == plan::BufferKind::kv)
    return "kv";
  return inLayer(textOf(buffer.name()), layer);
}

static void addTerm(std::string &sum, int64_t factor, const std::string &name) {
  if (factor == 0)
    return;
  sum += sum.empty() ? "" : " + ";
  sum += name.empty()  ? std::to_string(factor)
         : factor == 1 ? name
                       : std::to_string(factor) + " * " + name;
}

static std::string describeTiles(const plan::TileCount &tiles, const plan::Bucket &bucket,
                                 int32_t layer) {
  if (tiles.buffer() >= 0)
    return nameOf(bufferAt(bucket, tiles.buffer()), layer) + "[" + std::to_string(tiles.element()) +
           "] <= " + std::to_string(tiles.max());
  std::string sum;
  addTerm(sum, tiles.per_row(), "rows");
  addTerm(sum, tiles.per_logit_row(), "logit rows");
  addTerm(sum, tiles.constant(), "");
  return sum.empty() ? "0" : sum;
}

static LaunchSummary describe(const plan::Plan &plan, const plan::Bucket &bucket,
                              const plan::Launch &launch) {
  const bool isKernel = launch.collective() == plan::Collective::none;
  LaunchSummary summary;
  summary.name = inLayer(textOf(launch.name()), launch.layer());
  summary.kernel =
      isKernel ? textOf(plan.kernels()->Get(static_cast<uint32_t>(launch.kernel()))->symbol())
               : opOf(plan, launch);
  if (launch.tiles())
    summary.tiles = describeTiles(*launch.tiles(), bucket, launch.layer());
  const auto addName = [](std::string &list, const std::string &name) {
    list += (list.empty() ? "" : ", ") + name;
  };
  for (const plan::Operand *operand : *launch.operands()) {
    const plan::Buffer &buffer = bufferAt(bucket, operand->buffer());
    if (buffer.kind() == plan::BufferKind::weight)
      continue;
    if (operand->access() != plan::OperandAccess::write)
      addName(summary.reads, nameOf(buffer, launch.layer()));
    if (operand->access() != plan::OperandAccess::read)
      addName(summary.writes, nameOf(buffer, launch.layer()));
  }
  return summary;
}

std::vector<LaunchGroup> summarizeLaunches(const plan::Plan &plan, const plan::Bucket &bucket) {
  // First one group per run of launches of a layer, then equal neighbours merged.
  std::vector<LaunchGroup> layers;
  for (const plan::Launch *launch : *bucket.launches()) {
    const int32_t layer = launch->layer();
    if (layers.empty() || layers.back().firstLayer != layer)
      layers.push_back({layer, layer, {}});
    layers.back().launches.push_back(describe(plan, bucket, *launch));
  }
  std::vector<LaunchGroup> groups;
  for (LaunchGroup &layer : layers) {
    const bool isNext = !groups.empty() && layer.firstLayer >= 0 && groups.back().firstLayer >= 0 &&
                        layer.firstLayer == groups.back().lastLayer + 1;
    if (isNext && groups.back().launches == layer.launches)
      groups.back().lastLayer = layer.firstLayer;
    else
      groups.push_back(std::move(layer));
  }
  return groups;
}

std::vector<int64_t> countLaunches(const plan::Plan &plan) {
  std::vector<int64_t> counts(plan.kernels()->size());
  for (const plan::Program *program : *plan.programs())
    for (const plan::Bucket *bucket : *program->buckets())
      for (const plan::Launch *launch : *bucket->launches())
        if (launch->collective() == plan::Collective::none)
          ++counts[static_cast<size_t>(launch->kernel())];
  return counts;
}

static bool hasPersistentKernel(const plan::Plan &plan) {
  for (const plan::GpuCode *code : *plan.gpu_code())
    if (ServiceNumbers(plan, *code).find("persistent"))
      return true;
  return false;
}

std::optional<TaskWaits> waitsOfTasks(const plan::Plan &plan, const plan::Bucket &bucket) {
  const auto meets = [](const plan::Launch *launch) {
    return launch->collective() != plan::Collective::none;
  };
  if (bucket.max_rows() != 1 || !hasPersistentKernel(plan) ||
      std::any_of(bucket.launches()->begin(), bucket.launches()->end(), meets))
    return std::nullopt;
  return orderTasks(taskUsesOf(bucket), grokTaskWaits);
}

} // namespace grok::runtime
