// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/Waiting.h"
#include <algorithm>
#include <immintrin.h>
#include <thread>

namespace grok::runtime {

static constexpr int pausesPerLook = 16; // some 0.5 us: a clock costs 25 ns
static constexpr int longestNap = 200;   // us

void AbortFlag::raise(const std::string &reason) {
  const std::lock_guard lock(mutex);
  if (isRaised.load(std::memory_order_relaxed))
    return;
  text = reason;
  isRaised.store(true, std::memory_order_release);
}

std::string AbortFlag::reason() const {
  const std::lock_guard lock(mutex);
  return text;
}

std::string WaitRules::nameOf(int peer) const {
  const auto index = static_cast<size_t>(peer);
  const std::string host = index < hosts.size() ? hosts[index] : "unknown";
  return "rank " + std::to_string(peer) + " (host " + host + ")";
}

Wait::Wait(WaitRules &rules, const char *collective, int peer, Kind kind)
    : rules(rules), collective(collective), peer(peer), kind(kind), start(Clock::now()),
      countedFrom(start) {
  rules.activity.waitingFor.store(peer, std::memory_order_relaxed);
}

Wait::~Wait() { rules.activity.waitingFor.store(-1, std::memory_order_relaxed); }

void Wait::waitFor(int next) {
  peer = next;
  rules.activity.waitingFor.store(next, std::memory_order_relaxed);
}

bool Wait::spin() {
  if (rules.spin.count() == 0)
    return false;
  _mm_pause();
  if (++pauses % pausesPerLook != 0)
    return true;
  return Clock::now() - start < rules.spin;
}

Result<void> Wait::check() {
  if (rules.abort->raised()) {
    rules.peerFailed = true;
    return fail(rules.abort->reason());
  }
  if (kind == Kind::idle || !rules.activity.inStep.load(std::memory_order_relaxed)) {
    countedFrom = Clock::now();
    return {};
  }
  if (Clock::now() - countedFrom < rules.deadline)
    return {};
  rules.peerFailed = true;
  return fail(rules.nameOf(peer), " did not answer within ",
              static_cast<double>(rules.deadline.count()) / 1000, " s: ", rules.nameOf(rules.rank),
              " waits in ", collective, " of \"",
              rules.activity.operation.load(std::memory_order_relaxed), "\"");
}

void Wait::nap() {
  std::this_thread::sleep_for(std::chrono::microseconds(napMicroseconds));
  napMicroseconds = std::min(napMicroseconds * 2, longestNap);
}

} // namespace grok::runtime
