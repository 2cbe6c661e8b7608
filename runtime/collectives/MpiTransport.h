// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Messages through MPI, whose library is opened at run time.
#pragma once

#include "runtime/collectives/Transport.h"
#include <memory>

namespace grok::runtime {

/// What MPI says about this process.
struct MpiWorld {
  std::unique_ptr<Transport> transport;
  int rank;
  int ranks;
};

/// Opens libgrok-mpi.so and starts MPI, at most once in a process. Looks at
/// GROK_MPI_LIBRARY, then beside this code and in ../lib, then where the system
/// looks.
Result<MpiWorld> startMpi();

} // namespace grok::runtime
