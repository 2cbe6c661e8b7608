// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every communicator must do, as cases that each rank runs at once. The
// same cases run over threads, processes of one host and MPI.
#pragma once

#include "runtime/collectives/Communicator.h"

namespace grok::runtime::conformance {

struct Case {
  const char *name;
  /// Collective over all ranks. Error: what was wrong on this rank.
  Result<void> (*run)(Communicator &);
};

/// All of them, in a fixed order.
std::span<const Case> cases();

} // namespace grok::runtime::conformance
