// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which processors this process may use, in the order to occupy them.
#pragma once

#include <vector>

namespace grok::runtime {

struct Topology {
  /// Usable processors: one of every core first, then their siblings.
  std::vector<int> processors;
  /// Cores among them, at most the container's processor quota; at least 1.
  int cores = 1;
  /// Memory nodes (NUMA) that the processors belong to.
  int nodes = 1;

  static Topology detect();
};

} // namespace grok::runtime
