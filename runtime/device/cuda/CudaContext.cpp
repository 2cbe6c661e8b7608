// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaContext.h"
#include <cstdio>
#include <utility>

namespace grok::runtime::cuda {

std::string showGib(uint64_t bytes) {
  char text[32];
  const bool isSmall = bytes < uint64_t(1) << 30;
  std::snprintf(text, sizeof text, isSmall ? "%.1f MiB" : "%.1f GiB",
                static_cast<double>(bytes) / (isSmall ? 0x1p20 : 0x1p30));
  return text;
}

PinnedMemory::PinnedMemory(PinnedMemory &&other) noexcept { *this = std::move(other); }

PinnedMemory &PinnedMemory::operator=(PinnedMemory &&other) noexcept {
  std::swap(context, other.context);
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

PinnedMemory::~PinnedMemory() {
  if (address && context->enter()) // on whatever thread it ends
    context->driver().cuMemFreeHost(address);
}

namespace {

class CudaMemory final : public DeviceMemory {
public:
  CudaMemory(const CudaContext &context, Address address, uint64_t bytes)
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are numbers
      : DeviceMemory(reinterpret_cast<std::byte *>(address), bytes), context(context) {}
  ~CudaMemory() override {
    // Nobody to tell of an error: it comes again with the next call.
    if (context.enter())
      context.driver().cuMemFree(addressOf(data()));
  }
  void clear(uint64_t offset, uint64_t count) override {
    // Likewise: wait() reports it.
    if (count > 0 && context.enter())
      context.driver().cuMemsetD8Async(addressOf(data()) + offset, 0, count, context.stream());
  }

private:
  const CudaContext &context;
};

/// No memory, where none was asked for.
class NoMemory final : public DeviceMemory {
public:
  NoMemory() : DeviceMemory(nullptr, 0) {}
  void clear(uint64_t, uint64_t) override {}
};

} // namespace

Result<std::unique_ptr<CudaContext>> CudaContext::create(const Gpu &gpu) {
  std::unique_ptr<CudaContext> made(new CudaContext(gpu));
  const Driver &driver = made->driver();
  auto done = driver.check(driver.cuDevicePrimaryCtxRetain(&made->context, gpu.device), gpu.name)
                  .and_then([&] { return made->enter(); })
                  .and_then([&] {
                    return driver.check(driver.cuStreamCreate(&made->ownStream, nonBlockingStream),
                                        gpu.name);
                  });
  if (!done)
    return fail(done.error());
  return made;
}

CudaContext::~CudaContext() {
  if (!context)
    return;
  if (ownStream && enter())
    driver().cuStreamDestroy(ownStream);
  driver().cuDevicePrimaryCtxRelease(ownGpu.device);
}

Result<void> CudaContext::enter() const {
  return driver().check(driver().cuCtxSetCurrent(context), ownGpu.name);
}

Result<void> CudaContext::checkFree(uint64_t bytes, std::string_view what) const {
  size_t free = 0, total = 0;
  if (auto asked = driver().check(driver().cuMemGetInfo(&free, &total), "cuMemGetInfo"); !asked)
    return asked;
  if (bytes <= free)
    return {};
  return fail(what, ": ", showGib(bytes), " needed, ", showGib(free), " of ", showGib(total),
              " free on ", ownGpu.name,
              "; give less --kv-memory, compile with fewer bits per weight or free its memory");
}

Result<std::unique_ptr<DeviceMemory>> CudaContext::allocateRaw(uint64_t bytes,
                                                               std::string_view what) const {
  if (bytes == 0)
    return std::make_unique<NoMemory>();
  Address address = 0;
  auto done = enter().and_then([&] { return checkFree(bytes, what); }).and_then([&] {
    return driver().check(driver().cuMemAlloc(&address, bytes), what);
  });
  if (!done)
    return fail(done.error());
  return std::make_unique<CudaMemory>(*this, address, bytes);
}

Result<std::unique_ptr<DeviceMemory>> CudaContext::allocate(uint64_t bytes,
                                                            std::string_view what) const {
  auto memory = allocateRaw(bytes, what);
  if (memory)
    (*memory)->clear(0, bytes);
  return memory;
}

Result<PinnedMemory> CudaContext::pin(uint64_t bytes) const {
  void *address = nullptr;
  auto done = enter().and_then([&] {
    return driver().check(driver().cuMemHostAlloc(&address, bytes, 0), "memory of the host");
  });
  if (!done)
    return fail(done.error());
  return PinnedMemory(*this, static_cast<std::byte *>(address), bytes);
}

} // namespace grok::runtime::cuda
