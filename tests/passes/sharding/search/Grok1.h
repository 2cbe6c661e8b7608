// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Grok-1 and simple machines for tests of the search.
#pragma once

#include "passes/sharding/search/CostModel.h"

namespace grok::search {

inline ModelShape grok1() {
  return {.name = "grok-1",
          .vocabulary = 131072,
          .width = 6144,
          .layers = 64,
          .queryHeads = 48,
          .keyValueHeads = 8,
          .headSize = 128,
          .hidden = 32768,
          .experts = 8,
          .selectedExperts = 2,
          .rowGroups = 8};
}

/// Devices that do nothing but read memory, without loss or links.
inline Machine bareMachine(int64_t devices, double bandwidth) {
  Machine machine;
  machine.name = "bare";
  machine.devicesPerNode = devices;
  machine.memoryBytes = 1e15;
  machine.bandwidth = bandwidth;
  machine.peaks = {{"f32", 1e18}};
  machine.inside = machine.across = {.seconds = 0, .bandwidth = 1e15};
  return machine;
}

/// `bits` of every expert weight and `dense` of all others, scales included.
inline WeightFormat averageFormat(double bits, double dense) {
  return {"average", {.bits = bits}, {.bits = dense}, {.bits = dense}};
}

} // namespace grok::search
