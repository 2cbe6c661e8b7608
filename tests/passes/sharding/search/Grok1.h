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

/// Links of two levels and a table, as real machines have.
inline Machine realMachine(int64_t nodes, int64_t perNode, double memory) {
  Machine machine = bareMachine(perNode, 3.35e12);
  machine.nodes = nodes;
  machine.memoryBytes = memory;
  machine.bandwidthShare = 0.8;
  machine.peaks = {{"bf16", 989e12}, {"f32", 67e12}};
  machine.peakShare = 0.6;
  machine.launchSeconds = 1.5e-6;
  machine.inside = {.seconds = 2e-6, .bandwidth = 450e9};
  machine.across = {.seconds = 10e-6, .bandwidth = 47e9};
  machine.communicatorBytes = 5e8;
  machine.allReduces = {{4, 1, 32768, "one-shot", 5e-6, ""}, {8, 1, 32768, "one-shot", 8e-6, ""}};
  return machine;
}

/// `bits` of every expert weight and `dense` of all others, scales included.
inline WeightFormat averageFormat(double bits, double dense) {
  return {"average", {.bits = bits}, {.bits = dense}, {.bits = dense}};
}

} // namespace grok::search
