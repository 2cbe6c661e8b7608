// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the machine is asked to do.
#pragma once

#include <cstdint>

namespace grok::search {

/// Slices of a reproducible sum.
inline constexpr int64_t reproducibleSlices = 16;

enum class Goal {
  latency,    // least time from a token to the next one
  throughput, // most new tokens per second, prompts included
  firstToken, // least time from a prompt to its first token
};

struct Workload {
  Goal goal = Goal::latency;
  int64_t batch = 1;      // sequences at a time, on the whole machine
  int64_t context = 8192; // positions of each that its cache holds, and attention reads
  int64_t prompt = 1024;  // tokens of a request
  int64_t newTokens = 256;
  int64_t stepRows = 512;        // most rows of one step: prompts are cut into these
  int64_t cacheElementBits = 16; // of keys and values; 8 adds a scale per head
  int64_t activationBytes = 4;   // of one element
  /// Equal bits for every sharding: ranks have whole slices of every sum, and the
  /// outputs of a row's experts are added up apart.
  bool isReproducible = false;
};

} // namespace grok::search
