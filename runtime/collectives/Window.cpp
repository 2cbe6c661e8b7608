// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/Window.h"
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::runtime {

static constexpr size_t alignment = 128;
// How often a parked member looks for an abort or its deadline.
static constexpr timespec parkSlice = {0, 50'000'000};

static size_t aligned(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Not FUTEX_PRIVATE: the members may be processes.
static void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT, expected, &parkSlice, nullptr,
          0);
}

static void futexWakeAll(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

size_t Window::bytesFor(int members, size_t capacity) {
  return static_cast<size_t>(members) * (sizeof(Record) + 2 * aligned(capacity));
}

Window::Window(std::shared_ptr<std::byte> memory, int members, size_t capacity)
    : memory(std::move(memory)), members(members), messageBytes(aligned(capacity)) {}

Window::Record &Window::record(int member) const {
  return *reinterpret_cast<Record *>(memory.get() + static_cast<size_t>(member) * sizeof(Record));
}

std::byte *Window::buffer(int member, uint32_t turn) const {
  const size_t buffers = static_cast<size_t>(members) * sizeof(Record);
  return memory.get() + buffers + (static_cast<size_t>(member) * 2 + turn % 2) * messageBytes;
}

// Sequentially consistent, with await: either we see the sleeper, or its kernel
// call sees the new number and does not sleep.
void Window::publish(int member, uint32_t number) {
  Record &own = record(member);
  own.processor.store(sched_getcpu(), std::memory_order_relaxed);
  own.number.store(number);
  if (own.sleepers.load() != 0)
    futexWakeAll(own.number);
}

Result<void> Window::await(int member, uint32_t number, Wait &wait) {
  Record &peer = record(member);
  const auto isBehind = [&](uint32_t seen) { return static_cast<int32_t>(seen - number) < 0; };
  // Where a busy machine has put both of us on one processor, spinning would
  // only keep the peer from running.
  const bool sharesProcessor = peer.processor.load(std::memory_order_relaxed) == sched_getcpu();
  while (isBehind(peer.number.load(std::memory_order_acquire))) {
    if (!sharesProcessor && wait.spin())
      continue;
    if (auto going = wait.check(); !going)
      return going;
    peer.sleepers.fetch_add(1);
    if (const uint32_t seen = peer.number.load(); isBehind(seen))
      futexWait(peer.number, seen);
    peer.sleepers.fetch_sub(1);
  }
  return {};
}

} // namespace grok::runtime
