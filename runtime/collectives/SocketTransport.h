// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Messages over stream sockets, one connection per pair of ranks: for
// jobs that nobody launched through MPI.
#pragma once

#include "runtime/collectives/Transport.h"
#include <memory>
#include <vector>

namespace grok::runtime {

/// `sockets`: connected streams by rank, -1 for this rank itself; owned from now on.
std::unique_ptr<Transport> makeSocketTransport(const std::vector<int> &sockets);

} // namespace grok::runtime
