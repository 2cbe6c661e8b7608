// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ends a job whose rank died, stopped or got stuck, on every rank: the libraries
// that carry the messages would wait for ever.
//
// A thread of each rank reports to rank 0 what its rank is doing. Rank 0 finds
// the culprit and tells everyone; each process then prints one line and ends
// with exit code 3, by _exit, whatever its other threads hang in.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/ranks/Rendezvous.h"
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace grok::runtime {

struct MonitorLimits {
  std::chrono::milliseconds report{250};
  /// Without a report a rank counts as stopped, or its host as unreachable.
  std::chrono::milliseconds silent{3000};
  /// In one operation of a step, not waiting for others.
  std::chrono::milliseconds stuck{6000};
};

class Monitor {
public:
  static constexpr int peerFailureCode = 3;

  /// `program` begins the printed line.
  Monitor(Roster roster, int rank, Communicator &communicator, MonitorLimits limits,
          std::string program);
  ~Monitor();
  Monitor(const Monitor &) = delete;
  Monitor &operator=(const Monitor &) = delete;

  /// This rank cannot go on. The others end with peerFailureCode and the line
  /// "<culprit> <reason>", or the reason alone if nobody is to blame (-1); this
  /// process ends with its own line and `exitCode`.
  [[noreturn]] void end(int culprit, const std::string &reason, const std::string &ownLine,
                        int exitCode);
  /// This rank has nothing more to do. Returns when that is true of all. From
  /// then on the monitor must be gone within `closing`, or the process ends.
  void finish();
  static constexpr std::chrono::seconds closing{5};

private:
  struct Message;
  struct Peer;

  void watch();
  void report();
  void waitForNews();
  void hear(int peer);
  void handle(int peer, const Message &message);
  void lostConnection(int peer);
  void judge();
  void judge(int number, Clock::time_point now);
  bool allHaveFinished();
  void noteAllFinished();
  void wake() const;
  Message makeMessage() const;
  std::string lineOf(int culprit, const std::string &reason) const;
  void tell(int culprit, const std::string &reason) const;
  [[noreturn]] void abortJob(int culprit, const std::string &reason);
  [[noreturn]] void leave(const std::string &line, int exitCode);

  const Roster roster;
  const int rank;
  const bool isLeader;
  Communicator &communicator;
  const MonitorLimits limits;
  const std::string program;

  std::vector<Peer> peers; // by rank: what they said last. Followers: rank 0 only
  Clock::time_point nextReport;
  Clock::time_point finishedAt;
  std::atomic<int> stopped = -1; // the rank that was found so; whoever ends the job reads it
  Stream wakeup;                 // an event that ends the thread's wait
  std::mutex ending;             // taken once and for good: one end, one line
  std::mutex mutex;              // for the following
  std::condition_variable changed;
  bool ownFinished = false;
  bool allFinished = false;
  bool stopping = false;
  std::thread thread;
};

} // namespace grok::runtime
