// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A process among all of a job's hosts, so that one of our own that no longer
// answers can be ended and no other.
#pragma once

#include <array>
#include <cstdint>

namespace grok::runtime {

/// Plain bytes, to be sent.
struct ProcessIdentity {
  std::array<char, 40> bootId;
  std::array<char, 40> pidNamespace; // the container that the number belongs to
  int64_t pid;
  uint64_t startTime; // tells it from a later process of the same number

  static ProcessIdentity ofThis();
};

/// Do both run on one kernel?
bool onOneHost(const ProcessIdentity &first, const ProcessIdentity &second);

/// Kills the process if it is one that this process can see for sure.
void endProcess(const ProcessIdentity &process);

} // namespace grok::runtime
