// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranks that are child processes of a test, joined by socket pairs.
#pragma once

#include "runtime/collectives/ProcessCommunicator.h"
#include <functional>

namespace grok::runtime {

/// Runs `body` as every rank; by rank, what went wrong or "". A child that ends
/// by a signal says so.
std::vector<std::string> onForkedRanks(int ranks, bool sharedMemory,
                                       const std::function<Result<void>(Communicator &)> &body);

} // namespace grok::runtime
