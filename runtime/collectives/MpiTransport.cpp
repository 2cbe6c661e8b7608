// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/MpiTransport.h"
#include "runtime/collectives/mpi/Messages.h"
#include "runtime/device/SharedLibrary.h"

namespace grok::runtime {

namespace {

struct Operation {
  void *request;
  uint64_t bytes; // that a receive must get
  bool isSend;
};

class MpiTransport : public Transport {
public:
  explicit MpiTransport(const grok_mpi_functions &mpi) : mpi(mpi) {}
  Result<Ticket> startSend(int peer, Channel channel, const void *data, size_t bytes) override;
  Result<Ticket> startReceive(int peer, Channel channel, void *data, size_t bytes) override;
  Result<bool> test(Ticket ticket) override;
  Result<void> close() override;

private:
  const grok_mpi_functions &mpi;
};

} // namespace

static tl::unexpected<std::string> mpiError(const grok_mpi_functions &mpi, int code) {
  char words[512] = {};
  mpi.describe(code, words, sizeof(words));
  return fail("cannot be reached, MPI says: ", words);
}

Result<Transport::Ticket> MpiTransport::startSend(int peer, Channel channel, const void *data,
                                                  size_t bytes) {
  auto operation = std::make_unique<Operation>(Operation{nullptr, bytes, true});
  if (int code = mpi.send(data, bytes, peer, static_cast<int>(channel), &operation->request))
    return mpiError(mpi, code);
  return operation.release();
}

Result<Transport::Ticket> MpiTransport::startReceive(int peer, Channel channel, void *data,
                                                     size_t bytes) {
  auto operation = std::make_unique<Operation>(Operation{nullptr, bytes, false});
  if (int code = mpi.receive(data, bytes, peer, static_cast<int>(channel), &operation->request))
    return mpiError(mpi, code);
  return operation.release();
}

Result<bool> MpiTransport::test(Ticket ticket) {
  auto *operation = static_cast<Operation *>(ticket);
  int done = 0;
  uint64_t bytes = 0;
  if (int code = mpi.test(operation->request, &done, &bytes))
    return mpiError(mpi, code);
  if (!done)
    return false;
  const std::unique_ptr<Operation> finished(operation);
  if (!finished->isSend && bytes != finished->bytes)
    return fail("sent ", bytes, " bytes where ", finished->bytes, " were expected");
  return true;
}

Result<void> MpiTransport::close() {
  if (int code = mpi.finish())
    return mpiError(mpi, code);
  return {};
}

static Result<const grok_mpi_functions *> openMpi() {
  auto library = SharedLibrary::openOurs("GROK_MPI_LIBRARY", "libgrok-mpi.so");
  if (!library)
    return fail("MPI cannot be used: ", library.error());
  grok_mpi_function functions = nullptr;
  if (auto found = library->find("grok_mpi", functions); !found)
    return fail("MPI cannot be used: ", found.error());
  const grok_mpi_functions *mpi = functions();
  if (mpi->version != GROK_MPI_VERSION)
    return fail("MPI cannot be used: libgrok-mpi.so has version ", mpi->version, ", expected ",
                GROK_MPI_VERSION);
  return mpi;
}

Result<MpiWorld> startMpi() {
  auto mpi = openMpi();
  if (!mpi)
    return fail(mpi.error());
  MpiWorld world = {std::make_unique<MpiTransport>(**mpi), 0, 0};
  if (int code = (*mpi)->start(&world.rank, &world.ranks))
    return fail("MPI does not start: ", mpiError(**mpi, code).value());
  return world;
}

} // namespace grok::runtime
