// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ranks that are threads of one process.
#pragma once

#include "runtime/collectives/Communicator.h"

namespace grok::runtime {

/// One communicator per rank, each for one thread. Aborting one aborts all.
Result<std::vector<std::unique_ptr<Communicator>>> makeLocalCommunicators(int ranks);

} // namespace grok::runtime
