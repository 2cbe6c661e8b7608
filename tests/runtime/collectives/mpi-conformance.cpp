// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs the conformance cases as a rank of mpirun, through MPI messages alone:
//   mpirun -n 3 mpi-conformance
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/MpiTransport.h"
#include "runtime/collectives/ProcessCommunicator.h"
#include "tests/runtime/collectives/Conformance.h"
#include <cstdio>

using namespace grok::runtime;

static Result<void> runAll() {
  auto world = startMpi();
  if (!world)
    return fail(world.error());
  const std::vector<std::string> hosts(static_cast<size_t>(world->ranks), hostName());
  ProcessCommunicator communicator(std::move(world->transport),
                                   {world->rank, hosts, world->ranks, false});
  for (const conformance::Case &tested : conformance::cases()) {
    communicator.setOperation(tested.name);
    if (auto done = tested.run(communicator); !done)
      return fail(tested.name, ": ", done.error());
  }
  if (communicator.rank() == 0)
    std::printf("%zu cases hold on %d ranks\n", conformance::cases().size(), communicator.ranks());
  return communicator.close();
}

int main() {
  const Result<void> result = runAll();
  if (!result)
    std::fprintf(stderr, "mpi-conformance: %s\n", result.error().c_str());
  return result ? 0 : 1;
}
