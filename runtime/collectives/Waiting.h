// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a rank waits for another: it spins, then parks; every wait ends by an
// answer, by the job's end or by a deadline, never by hanging.
#pragma once

#include "runtime/Result.h"
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace grok::runtime {

/// Ends every wait of the ranks that share it, once, with the first reason.
class AbortFlag {
public:
  void raise(const std::string &reason);
  bool raised() const { return isRaised.load(std::memory_order_acquire); }
  std::string reason() const;

private:
  std::atomic<bool> isRaised = false;
  mutable std::mutex mutex;
  std::string text;
};

/// What a rank is doing: written by its working thread, read by its monitor.
struct Activity {
  std::atomic<const char *> operation = "start"; // outlives the communicator
  std::atomic<uint64_t> progress = 0;            // operations and collectives begun
  std::atomic<int> waitingFor = -1;              // a rank, or -1: computing
  std::atomic<bool> inStep = true;               // deadlines count
};

/// What all waits of one communicator share.
struct WaitRules {
  int rank = 0;
  std::vector<std::string> hosts; // by rank
  std::chrono::milliseconds deadline{8000};
  std::chrono::microseconds spin{100}; // 0 where the ranks outnumber the processors
  std::shared_ptr<AbortFlag> abort = std::make_shared<AbortFlag>();
  std::atomic<bool> peerFailed = false; // a wait ended by an error
  Activity activity;

  /// "rank 2 (host x)"
  std::string nameOf(int peer) const;
};

/// One wait for one peer. `collective` is a literal, such as "all_reduce".
class Wait {
public:
  enum class Kind {
    answer, // has a deadline inside a step
    idle,   // for a command that may never come: no deadline
  };
  Wait(WaitRules &rules, const char *collective, int peer, Kind kind = Kind::answer);
  ~Wait();
  Wait(const Wait &) = delete;
  Wait &operator=(const Wait &) = delete;

  /// Burns a moment. False once it is time to park instead.
  bool spin();
  /// Call before each parking. Error: the job was aborted, or the peer is late.
  Result<void> check();
  /// Sleeps for a time that grows to 200 us, where nothing can wake us.
  void nap();
  /// A further peer answers last; the time goes on.
  void waitFor(int peer);

private:
  using Clock = std::chrono::steady_clock;
  WaitRules &rules;
  const char *collective;
  int peer;
  Kind kind;
  Clock::time_point start;
  Clock::time_point countedFrom; // since when the deadline counts
  int pauses = 0;
  int napMicroseconds = 10;
};

} // namespace grok::runtime
