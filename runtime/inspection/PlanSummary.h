// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan as a person wants to see it: what is the same in every layer once.
#pragma once

#include "runtime/plan/TaskOrder.h"
#include <optional>
#include <string>
#include <vector>

namespace grok::runtime {

/// Weight tensors of the same name in all layers.
struct WeightKind {
  std::string name; // "transformer/decoder_layer_*/router/w"
  int64_t count = 0;
  std::string dtype;
  std::string packing;
  std::vector<int64_t> logicalShape; // as in the checkpoint
  int64_t rowGroups = 1;
  int64_t unit = 0;   // inputs summed in one run
  int64_t slices = 0; // summed as a tree
  uint64_t bytes = 0; // of all
};

/// Kinds in the order of their first tensor. Tensors of one name that differ in
/// type or shape are kinds of their own.
std::vector<WeightKind> summarizeWeights(const plan::Layout &layout);

struct LaunchSummary {
  std::string name;   // without the layer
  std::string kernel; // symbol
  std::string tiles;  // "64 * rows", "groups[1] <= 4096"
  std::string reads;  // no weights; "previous.x" is of the layer before
  std::string writes;

  bool operator==(const LaunchSummary &) const = default;
};

/// Consecutive layers whose launches are alike; -1 = outside the layers.
struct LaunchGroup {
  int32_t firstLayer = -1;
  int32_t lastLayer = -1;
  std::vector<LaunchSummary> launches; // of one layer
};

std::vector<LaunchGroup> summarizeLaunches(const plan::Plan &plan, const plan::Bucket &bucket);

/// What launches of the bucket wait for, by their numbers, where a GPU does them in one
/// launch; nothing where the plan has no kernel for that, or the bucket is not of one row.
std::optional<TaskWaits> waitsOfTasks(const plan::Plan &plan, const plan::Bucket &bucket);

/// "decoder_layer_3/router/w" -> "decoder_layer_*/router/w".
std::string withoutLayer(std::string_view tensorName);

/// Launches of each kernel in all programs and buckets.
std::vector<int64_t> countLaunches(const plan::Plan &plan);

} // namespace grok::runtime
