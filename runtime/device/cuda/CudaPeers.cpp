// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaPeers.h"
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>
#include <unistd.h>
#include <vector>

namespace grok::runtime::cuda {

using Clock = std::chrono::steady_clock;

// The driver shares what it allocates in units of this size ("CUDA C++ Programming
// Guide", "Interprocess Communication").
static constexpr uint64_t sharedUnit = uint64_t(2) << 20;
// Kernels that are told to give up take some milliseconds.
static constexpr std::chrono::seconds longestGivingUp{5};

namespace {

/// What is in a WindowOffer.
struct Offer {
  uint64_t process;
  uint64_t bytes;
  MemoryHandle handle;
};
static_assert(sizeof(Offer) <= sizeof(WindowOffer));

/// Memory that may be open in other processes. They do not tell when they close it, or may
/// have failed before; freeing it earlier is undefined ("CUDA Driver API",
/// cuIpcGetMemHandle). So the process's end does.
class OfferedWindow final : public DeviceMemory {
public:
  explicit OfferedWindow(std::unique_ptr<DeviceMemory> memory)
      : DeviceMemory(memory->data(), memory->size()), memory(*memory) {
    static std::mutex mutex;
    static auto &kept = *new std::vector<std::unique_ptr<DeviceMemory>>;
    const std::lock_guard lock(mutex);
    kept.push_back(std::move(memory));
  }
  void clear(uint64_t offset, uint64_t count) override { memory.clear(offset, count); }

private:
  DeviceMemory &memory;
};

/// Another process's window.
class MappedWindow final : public DeviceMemory {
public:
  MappedWindow(const CudaContext &context, Address address, uint64_t bytes)
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are numbers
      : DeviceMemory(reinterpret_cast<std::byte *>(address), bytes), context(context) {}
  ~MappedWindow() override {
    if (context.enter())
      context.driver().cuIpcCloseMemHandle(addressOf(data()));
  }
  void clear(uint64_t, uint64_t) override {} // is its owner's

private:
  const CudaContext &context;
};

/// Unified addressing: the device has the host's address for it.
class PinnedWords final : public DeviceMemory {
public:
  explicit PinnedWords(PinnedMemory memory)
      : DeviceMemory(memory.data(), memory.size()), memory(std::move(memory)) {
    std::memset(data(), 0, size());
  }
  void clear(uint64_t offset, uint64_t count) override { std::memset(data() + offset, 0, count); }

private:
  PinnedMemory memory;
};

} // namespace

Result<std::unique_ptr<DeviceMemory>> CudaPeers::makeWindow(uint64_t bytes, WindowOffer &offer) {
  constexpr auto what = "memory for other GPUs";
  auto memory = context.allocate((bytes + sharedUnit - 1) / sharedUnit * sharedUnit, what);
  if (!memory)
    return memory;
  Offer made{static_cast<uint64_t>(getpid()), bytes, {}};
  const Driver &driver = context.driver();
  // Zero before others write.
  Context lasting = nullptr; // the memory ends with the last use of the context
  auto offered =
      driver.check(driver.cuStreamSynchronize(context.stream()), what)
          .and_then([&] {
            return driver.check(
                driver.cuIpcGetMemHandle(&made.handle, addressOf((*memory)->data())), what);
          })
          .and_then([&] {
            return driver.check(driver.cuDevicePrimaryCtxRetain(&lasting, context.gpu().device),
                                what);
          });
  if (!offered)
    return fail(offered.error());
  std::memcpy(offer.bytes.data(), &made, sizeof made);
  return std::make_unique<OfferedWindow>(std::move(*memory));
}

Result<std::unique_ptr<DeviceMemory>> CudaPeers::mapWindow(const WindowOffer &offer) {
  Offer made;
  std::memcpy(&made, offer.bytes.data(), sizeof made);
  if (made.process == static_cast<uint64_t>(getpid()))
    return fail("a window of this process");
  Address address = 0;
  const Driver &driver = context.driver();
  auto opened = context.enter().and_then([&] {
    return driver.check(driver.cuIpcOpenMemHandle(&address, made.handle, enablePeerAccess),
                        "memory of another GPU");
  });
  if (!opened)
    return fail(opened.error());
  return std::make_unique<MappedWindow>(context, address, made.bytes);
}

Result<std::unique_ptr<DeviceMemory>> CudaPeers::allocateOnHost(uint64_t bytes) {
  return context.pin(bytes).map([](PinnedMemory memory) -> std::unique_ptr<DeviceMemory> {
    return std::make_unique<PinnedWords>(std::move(memory));
  });
}

Result<int> CudaPeers::await(Stream stream, const Watch &another) const {
  const auto look = [&] {
    auto going = watch ? watch() : Result<void>();
    return going && another ? another() : going;
  };
  Result<void> watched;
  Clock::time_point end = Clock::time_point::max();
  int status = success;
  while ((status = context.driver().cuStreamQuery(stream)) == notReady && Clock::now() < end) {
    if (!watched) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else if (watched = look(); !watched) {
      end = Clock::now() + longestGivingUp;
    }
  }
  if (watched && status == success && another)
    watched = another(); // what has ended may have failed
  if (!watched)
    return fail(watched.error());
  return status;
}

} // namespace grok::runtime::cuda
