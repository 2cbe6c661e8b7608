// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/HostInfo.h"
#include <fstream>
#include <sched.h>
#include <unistd.h>

namespace grok::runtime {

// Longer than the differences between ranks that compute the same shapes.
static constexpr std::chrono::microseconds spinTime{100};

std::string hostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0)
    return "unknown";
  return name;
}

std::string bootId() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

std::chrono::microseconds spinTimeFor(int ranksOnHost) {
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
    return std::chrono::microseconds(0);
  return CPU_COUNT(&usable) < ranksOnHost ? std::chrono::microseconds(0) : spinTime;
}

} // namespace grok::runtime
