// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cuda/CudaUpload.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace grok::runtime::cuda {

// Large enough that a copy is no slower for its ends, small enough to stay warm.
static constexpr uint64_t chunkBytes = uint64_t(8) << 20;
static constexpr int mostThreads = 8;

namespace {

/// A pinned buffer with a stream that empties it.
struct Slot {
  PinnedMemory memory;
  Stream stream = nullptr;
};

/// One upload, shared by its threads.
class Upload {
public:
  Upload(const CudaContext &context, Address to, std::span<const std::byte> from,
         const UploadProgress &progress)
      : context(context), to(to), from(from), progress(progress) {}

  Result<void> run(int threads);

private:
  void work();
  Result<void> copyChunks(Slot (&slots)[2]);
  Result<void> makeSlots(Slot (&slots)[2]) const;
  void report(uint64_t bytes);

  const CudaContext &context;
  Address to;
  std::span<const std::byte> from;
  const UploadProgress &progress;
  std::atomic<uint64_t> next = 0; // first byte that nobody has taken
  std::mutex mutex;               // of what follows
  uint64_t done = 0;
  Result<void> result;
};

} // namespace

Result<void> Upload::makeSlots(Slot (&slots)[2]) const {
  const Driver &driver = context.driver();
  for (Slot &slot : slots) {
    auto memory = context.pin(std::min<uint64_t>(chunkBytes, from.size()));
    if (!memory)
      return fail(memory.error());
    slot.memory = std::move(*memory);
    if (auto made =
            driver.check(driver.cuStreamCreate(&slot.stream, nonBlockingStream), "cuStreamCreate");
        !made)
      return made;
  }
  return {};
}

void Upload::report(uint64_t bytes) {
  const std::lock_guard lock(mutex);
  done += bytes;
  if (progress)
    progress(done, from.size());
}

Result<void> Upload::copyChunks(Slot (&slots)[2]) {
  const Driver &driver = context.driver();
  for (int turn = 0;; turn ^= 1) {
    const uint64_t offset = next.fetch_add(chunkBytes);
    if (offset >= from.size())
      break;
    const Slot &slot = slots[turn];
    if (auto empty = driver.check(driver.cuStreamSynchronize(slot.stream), "upload"); !empty)
      return empty;
    const uint64_t bytes = std::min<uint64_t>(chunkBytes, from.size() - offset);
    std::memcpy(slot.memory.data(), from.data() + offset, bytes);
    if (auto queued = driver.check(
            driver.cuMemcpyHtoDAsync(to + offset, slot.memory.data(), bytes, slot.stream),
            "upload");
        !queued)
      return queued;
    report(bytes);
  }
  for (const Slot &slot : slots)
    if (auto ended = driver.check(driver.cuStreamSynchronize(slot.stream), "upload"); !ended)
      return ended;
  return {};
}

void Upload::work() {
  Slot slots[2];
  const Result<void> own = context.enter().and_then([&] { return makeSlots(slots); }).and_then([&] {
    return copyChunks(slots);
  });
  for (const Slot &slot : slots)
    if (slot.stream)
      context.driver().cuStreamDestroy(slot.stream);
  if (own)
    return;
  next = from.size(); // the others may stop
  const std::lock_guard lock(mutex);
  if (result) // what comes later follows from the first
    result = own;
}

Result<void> Upload::run(int threads) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back([this] { work(); });
  work();
  for (std::thread &other : others)
    other.join();
  return result;
}

Result<void> upload(const CudaContext &context, Address to, std::span<const std::byte> from,
                    const UploadSettings &settings) {
  if (from.empty())
    return {};
  const auto chunks = static_cast<int>(
      std::min<uint64_t>((from.size() + chunkBytes - 1) / chunkBytes, mostThreads));
  return Upload(context, to, from, settings.progress).run(std::clamp(settings.threads, 1, chunks));
}

} // namespace grok::runtime::cuda
