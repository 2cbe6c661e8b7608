// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/SharedMemory.h"
#include "runtime/collectives/HostInfo.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace grok::runtime {

static constexpr size_t nonceBytes = 4096; // a page, so that the rest is aligned

static std::array<char, 40> thisBoot() {
  std::array<char, 40> id = {};
  bootId().copy(id.data(), id.size() - 1);
  return id;
}

static std::shared_ptr<int> owned(int descriptor) {
  return {new int(descriptor), [](int *open) {
            close(*open);
            delete open;
          }};
}

static Result<std::shared_ptr<std::byte>> mapAll(int descriptor, size_t bytes) {
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (mapped == MAP_FAILED)
    return fail("cannot map ", bytes, " bytes of shared memory: ", std::strerror(errno));
  return std::shared_ptr<std::byte>(static_cast<std::byte *>(mapped),
                                    [bytes](std::byte *start) { munmap(start, bytes); });
}

SharedMemoryOffer noSharedMemory() {
  SharedMemoryOffer nothing = {};
  nothing.descriptor = -1;
  return nothing;
}

Result<SharedMemory> SharedMemory::create(size_t bytes) {
  SharedMemory made;
  made.descriptor = owned(memfd_create("grok-window", MFD_CLOEXEC));
  made.offered = {
      thisBoot(), static_cast<uint64_t>(getpid()), *made.descriptor, bytes + nonceBytes, {}};
  if (*made.descriptor < 0 ||
      ftruncate(*made.descriptor, static_cast<off_t>(made.offered.bytes)) != 0 ||
      getrandom(made.offered.nonce.data(), sizeof(made.offered.nonce), 0) < 0)
    return fail("no shared memory of ", bytes, " bytes: ", std::strerror(errno));
  auto mapped = mapAll(*made.descriptor, made.offered.bytes);
  if (!mapped)
    return fail(mapped.error());
  std::memcpy(mapped->get(), made.offered.nonce.data(), sizeof(made.offered.nonce));
  made.bytes = {*mapped, mapped->get() + nonceBytes};
  return made;
}

Result<SharedMemory> SharedMemory::map(const SharedMemoryOffer &offer) {
  if (offer.descriptor < 0 || offer.bytes <= nonceBytes)
    return fail("no shared memory is offered");
  if (offer.bootId != thisBoot())
    return fail("the memory is another host's");
  // The number may mean another process in our container: the nonce tells.
  const std::string path =
      "/proc/" + std::to_string(offer.process) + "/fd/" + std::to_string(offer.descriptor);
  const auto descriptor = owned(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const off_t size = *descriptor < 0 ? -1 : lseek(*descriptor, 0, SEEK_END);
  if (size < 0)
    return fail(path, ": ", std::strerror(errno));
  if (static_cast<uint64_t>(size) != offer.bytes)
    return fail(path, " is not the memory that is offered");
  auto mapped = mapAll(*descriptor, offer.bytes);
  if (!mapped)
    return fail(mapped.error());
  if (std::memcmp(mapped->get(), offer.nonce.data(), sizeof(offer.nonce)) != 0)
    return fail(path, " is not the memory that is offered");
  SharedMemory shared;
  shared.offered = noSharedMemory();
  shared.bytes = {*mapped, mapped->get() + nonceBytes};
  return shared;
}

} // namespace grok::runtime
