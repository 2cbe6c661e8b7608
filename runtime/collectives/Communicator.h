// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the ranks of a job say to each other. One interface for threads of one
// process, processes of one host and of several, and GPUs.
#pragma once

#include "runtime/collectives/Waiting.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace grok::runtime {

/// Some ranks that combine rows. All members call the same operations with the
/// same sizes in the same order. One thread of a rank at a time. Valid as long
/// as its communicator.
class Group {
public:
  Group(std::vector<int> members, int index) : ranksOfMembers(std::move(members)), own(index) {}
  virtual ~Group() = default;
  Group(const Group &) = delete;
  Group &operator=(const Group &) = delete;

  int members() const { return static_cast<int>(ranksOfMembers.size()); }
  /// This rank's place in the group's order.
  int index() const { return own; }
  /// Rank number of a member.
  int rankOf(int member) const { return ranksOfMembers[static_cast<size_t>(member)]; }

  /// Do its members share memory, or send messages?
  virtual bool sharesMemory() const = 0;

  /// own: [rows][rowBytes] -> all: [rows][member][rowBytes].
  virtual Result<void> allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) = 0;
  /// own: [rows][columns] -> sum: [rows][columns], the members' rows added in
  /// the order of treeSum, so the same bits on every member and for every size.
  virtual Result<void> allReduceRows(const float *own, float *sum, int64_t rows,
                                     int64_t columns) = 0;

private:
  std::vector<int> ranksOfMembers;
  int own;
};

/// One rank's end. A wait for another rank ends by an error that names that
/// rank, its host and the operation; after an error the communicator is of no
/// further use, its buffers may still be written until it is destroyed.
class Communicator {
public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator &) = delete;
  Communicator &operator=(const Communicator &) = delete;

  int rank() const { return rules.rank; }
  int ranks() const { return static_cast<int>(rules.hosts.size()); }
  const std::string &host(int peer) const { return rules.hosts[static_cast<size_t>(peer)]; }

  /// Collective over `members`, rank numbers in the group's order. The largest
  /// message of one member that the group is made for; larger ones go in pieces.
  virtual Result<std::unique_ptr<Group>> group(std::span<const int> members,
                                               uint64_t largestBytes) = 0;

  /// In order per pair of ranks. Returns before the peer has asked for it, as
  /// long as fewer than `messagesAhead` wait for that peer.
  virtual Result<void> send(int peer, const void *data, size_t bytes) = 0;
  /// Exactly the bytes that the peer sent.
  virtual Result<void> receive(int peer, void *data, size_t bytes) = 0;
  /// The same without a deadline, for a command that may never come; parks, and
  /// ends when the job is aborted.
  virtual Result<void> receiveIdle(int peer, void *data, size_t bytes) = 0;
  static constexpr int messagesAhead = 8;

  /// Ends all waits, of the other threads of this communicator as well.
  void abort(const std::string &reason) { rules.abort->raise(reason); }

  /// Names what follows in messages and tells the monitor of progress. The text
  /// must outlive the communicator.
  void setOperation(const char *name) {
    rules.activity.operation.store(name, std::memory_order_relaxed);
    rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
  }
  /// How long a rank may keep the others waiting within a step.
  void setDeadline(std::chrono::milliseconds deadline) { rules.deadline = deadline; }
  /// Outside of steps (loading, idling) no deadline counts. True at first.
  void setInStep(bool inStep) { rules.activity.inStep.store(inStep, std::memory_order_relaxed); }
  /// Did an operation fail for want of a peer, not for what it was asked?
  bool peerFailed() const { return rules.peerFailed.load(); }
  const Activity &activity() const { return rules.activity; }

  /// This rank's index among the members of a group, or what is wrong with them.
  Result<int> checkMembers(std::span<const int> members) const;
  /// For groups that are made outside of the communicator.
  WaitRules &waitRules() { return rules; }

protected:
  /// Is there such a rank besides this one?
  Result<void> checkPeer(int peer) const;

  WaitRules rules;
};

} // namespace grok::runtime
