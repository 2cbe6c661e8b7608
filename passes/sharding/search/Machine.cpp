// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/sharding/search/Machine.h"

#include <algorithm>

namespace grok::search {

std::string Machine::peakNameFor(const std::string &weights) const {
  // Kernels of fewer bits compute on bfloat16 tensor cores, or on the byte
  // products of a CPU.
  const bool isFloat = weights == "f32";
  for (const char *name : {"bf16", "int8"})
    if (!isFloat && peaks.contains(name) && !(weights == "bf16" && name != weights))
      return name;
  return peaks.contains("f32") ? "f32" : peaks.begin()->first;
}

/// Cores that one of the busy ranks has to itself: its threads, or its part of one
/// core. Where ranks outnumber cores, the busiest core runs one rank after the other,
/// as an op is shorter than the time after which the system would move a rank.
static double coresOf(const Machine &machine, int64_t ranksOnNode, int64_t busy) {
  const int64_t cores = machine.sharedCores;
  const int64_t threads = std::max<int64_t>(1, cores / ranksOnNode);
  return double(threads) / double((busy * threads + cores - 1) / cores);
}

Rates Machine::bandwidthOf(int64_t ranksOnNode, int64_t busy) const {
  if (sharedCores == 0)
    return {.rank = bandwidth * bandwidthShare};
  return {.rank = bandwidthShare * bandwidth * coresOf(*this, ranksOnNode, busy),
          .node = bandwidthShare * nodeBandwidth};
}

Rates Machine::peakOf(const std::string &weights, int64_t ranksOnNode, int64_t busy) const {
  const double peak = peaks.at(peakNameFor(weights)) * peakShare;
  if (sharedCores == 0)
    return {.rank = peak};
  return {.rank = peak * coresOf(*this, ranksOnNode, busy), .node = peak * double(sharedCores)};
}

double Machine::rankMemory(int64_t ranksOnNode) const {
  const double free = sharedCores == 0 ? memoryBytes - reservedBytes
                                       : (memoryBytes - reservedBytes) / double(ranksOnNode);
  return budgetBytes > 0 ? std::min(free, budgetBytes) : free;
}

Result<Machine> takePart(Machine machine, int64_t devices) {
  const int64_t all = machine.devices();
  const bool isWhole = devices <= machine.devicesPerNode || devices % machine.devicesPerNode == 0;
  if (devices < 1 || devices > all || !isWhole)
    return fail(devices, " devices cannot be taken from ", machine.name, ", which has ",
                machine.nodes, " nodes of ", machine.devicesPerNode);
  machine.nodes = std::max<int64_t>(1, devices / machine.devicesPerNode);
  machine.devicesPerNode = std::min(devices, machine.devicesPerNode);
  return machine;
}

} // namespace grok::search
