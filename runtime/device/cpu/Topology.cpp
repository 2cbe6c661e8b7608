// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cpu/Topology.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <set>
#include <string>

namespace grok::runtime {

static std::vector<int> allowedProcessors() {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set))
        processors.push_back(i);
  return processors;
}

// Siblings share the first processor of their list, which starts the text.
static int firstSibling(int processor) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                     "/topology/thread_siblings_list");
  int first = processor;
  return file >> first ? first : processor;
}

// A processor's folder has an entry nodeN for the memory beside it.
static int nodeOf(int processor) {
  std::error_code error;
  std::filesystem::directory_iterator entries(
      "/sys/devices/system/cpu/cpu" + std::to_string(processor), error);
  if (error)
    return 0;
  for (const auto &entry : entries) {
    const std::string name = entry.path().filename().string();
    int node = 0;
    if (name.starts_with("node") &&
        std::from_chars(name.data() + 4, name.data() + name.size(), node).ec == std::errc())
      return node;
  }
  return 0;
}

// The limit of control group version 2, as containers see it.
static int processorQuota(int unlimited) {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0)
    return unlimited;
  return static_cast<int>(std::min<double>(unlimited, std::ceil(quota / period)));
}

Topology Topology::detect() {
  Topology topology;
  std::vector<int> siblings, seenCores;
  std::set<int> nodes;
  for (int processor : allowedProcessors()) {
    nodes.insert(nodeOf(processor));
    int core = firstSibling(processor);
    bool isNew = std::find(seenCores.begin(), seenCores.end(), core) == seenCores.end();
    (isNew ? topology.processors : siblings).push_back(processor);
    if (isNew)
      seenCores.push_back(core);
  }
  int cores = std::max<int>(1, static_cast<int>(topology.processors.size()));
  topology.processors.insert(topology.processors.end(), siblings.begin(), siblings.end());
  topology.cores = std::max(1, processorQuota(cores));
  topology.nodes = std::max(1, static_cast<int>(nodes.size()));
  return topology;
}

} // namespace grok::runtime
