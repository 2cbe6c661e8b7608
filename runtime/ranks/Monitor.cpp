// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/Monitor.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace grok::runtime {

// Before we are gone: mpirun kills all ranks as soon as one ends, and each
// shall have said why.
static constexpr std::chrono::milliseconds lastWords{300};
static constexpr std::chrono::seconds tellingTime{1};

struct Monitor::Message {
  enum class Kind : uint32_t { report, finished, allFinished, abort };
  Kind kind = Kind::report;
  int32_t inStep = 0;
  int32_t waitingFor = -1;
  int32_t culprit = -1;
  uint64_t progress = 0;
  std::array<char, 96> operation = {};
  std::array<char, 384> reason = {};
};

struct Monitor::Peer {
  Message last;
  Clock::time_point heard;      // its last message
  Clock::time_point progressed; // its last other message
  bool finished = false;
  bool isOpen = true;
  std::array<char, sizeof(Message)> incoming;
  size_t received = 0; // bytes of it
};

static std::string seconds(std::chrono::milliseconds time) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%g s", static_cast<double>(time.count()) / 1000);
  return text.data();
}

Monitor::Monitor(Roster joined, int rank, Communicator &communicator, MonitorLimits limits,
                 std::string program)
    : roster(std::move(joined)), rank(rank), isLeader(rank == 0), communicator(communicator),
      limits(limits), program(std::move(program)) {
  const Clock::time_point now = Clock::now();
  peers.resize(roster.members.size());
  for (Peer &peer : peers)
    peer.heard = peer.progressed = now;
  nextReport = now;
  wakeup = Stream(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  thread = std::thread([this] { watch(); });
}

Monitor::~Monitor() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake();
  thread.join();
}

void Monitor::wake() const {
  const uint64_t one = 1;
  static_cast<void>(!write(wakeup.socket(), &one, sizeof(one)));
}

void Monitor::watch() {
  for (;;) {
    report();
    waitForNews();
    judge();
    const std::lock_guard lock(mutex);
    if (stopping)
      return;
  }
}

Monitor::Message Monitor::makeMessage() const {
  const Activity &activity = communicator.activity();
  Message message;
  message.inStep = activity.inStep;
  message.waitingFor = activity.waitingFor;
  message.progress = activity.progress;
  const char *operation = activity.operation;
  std::strncpy(message.operation.data(), operation, message.operation.size() - 1);
  return message;
}

// A report that finds the buffers full is dropped: a rank that reads so late is
// found out by its own silence. The kernel takes a small message whole or not.
void Monitor::report() {
  if (Clock::now() < nextReport)
    return;
  nextReport = Clock::now() + limits.report;
  Message message = makeMessage();
  {
    const std::lock_guard lock(mutex);
    if (ownFinished)
      message.kind = Message::Kind::finished;
  }
  if (isLeader)
    handle(0, message);
  const bool everyone = allHaveFinished();
  if (isLeader && everyone)
    message.kind = Message::Kind::allFinished;
  for (const Stream &stream : roster.control)
    if (stream)
      send(stream.socket(), &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (isLeader && everyone)
    noteAllFinished(); // only now: the others have been told
}

void Monitor::noteAllFinished() {
  const std::lock_guard lock(mutex);
  finishedAt = allFinished ? finishedAt : Clock::now();
  allFinished = true;
  changed.notify_all();
}

// Rank 0 hears it from each, the others from rank 0.
bool Monitor::allHaveFinished() {
  if (isLeader)
    return std::all_of(peers.begin(), peers.end(), [](const Peer &peer) { return peer.finished; });
  const std::lock_guard lock(mutex);
  return allFinished;
}

void Monitor::waitForNews() {
  std::vector<pollfd> waiting = {{wakeup.socket(), POLLIN, 0}};
  std::vector<int> ranks = {-1};
  for (size_t i = 0; i < roster.control.size(); ++i)
    if (roster.control[i] && peers[i].isOpen) {
      waiting.push_back({roster.control[i].socket(), POLLIN, 0});
      ranks.push_back(static_cast<int>(i));
    }
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(nextReport - Clock::now());
  poll(waiting.data(), waiting.size(), std::max(0, static_cast<int>(left.count()) + 1));
  uint64_t events = 0;
  if (waiting[0].revents && read(wakeup.socket(), &events, sizeof(events)) > 0)
    nextReport = Clock::now();
  for (size_t i = 1; i < waiting.size(); ++i)
    if (waiting[i].revents)
      hear(ranks[i]);
}

void Monitor::hear(int number) {
  Peer &peer = peers[static_cast<size_t>(number)];
  const int socket = roster.control[static_cast<size_t>(number)].socket();
  for (;;) {
    const ssize_t got = recv(socket, peer.incoming.data() + peer.received,
                             sizeof(Message) - peer.received, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (got <= 0)
      return lostConnection(number);
    peer.received += static_cast<size_t>(got);
    if (peer.received < sizeof(Message))
      continue;
    peer.received = 0;
    Message message;
    std::memcpy(static_cast<void *>(&message), peer.incoming.data(), sizeof(message));
    handle(number, message);
  }
}

void Monitor::handle(int number, const Message &message) {
  Peer &peer = peers[static_cast<size_t>(number)];
  if (message.kind == Message::Kind::abort) {
    const std::string reason = message.reason.data();
    // Rank 0 passes it on; the others have it from there.
    if (isLeader)
      abortJob(message.culprit, reason);
    ending.lock();
    leave(lineOf(message.culprit, reason), peerFailureCode);
  }
  peer.heard = Clock::now();
  if (message.progress != peer.last.progress || !message.inStep || message.waitingFor >= 0 ||
      message.kind != Message::Kind::report)
    peer.progressed = peer.heard;
  peer.last = message;
  peer.finished |= message.kind != Message::Kind::report;
  if (isLeader && number != 0 && allHaveFinished())
    nextReport = peer.heard; // tells the others
  if (message.kind == Message::Kind::allFinished)
    noteAllFinished();
}

// Ranks leave after all have finished, and not before.
void Monitor::lostConnection(int number) {
  Peer &peer = peers[static_cast<size_t>(number)];
  peer.isOpen = false;
  if (allHaveFinished())
    return;
  abortJob(number, std::string("ended: its connection is closed, it was last seen in \"") +
                       peer.last.operation.data() + "\"");
}

// All that was sent has been read by now: after a stop of this very process the
// others' reports lie in the buffers.
void Monitor::judge() {
  const Clock::time_point now = Clock::now();
  {
    const std::lock_guard lock(mutex);
    if (stopping || (allFinished && now - finishedAt < closing))
      return;
    if (allFinished && ending.try_lock())
      leave(lineOf(rank, "does not come to its end"), peerFailureCode);
  }
  judge(0, now);
  for (int number = 1; isLeader && number < static_cast<int>(peers.size()); ++number)
    judge(number, now);
}

void Monitor::judge(int number, Clock::time_point now) {
  const Peer &peer = peers[static_cast<size_t>(number)];
  if (now - peer.heard > limits.silent) {
    stopped = number;
    abortJob(number,
             "is stopped or cannot be reached: nothing heard for " + seconds(limits.silent));
  }
  if (isLeader && !peer.finished && now - peer.progressed > limits.stuck)
    abortJob(number, std::string("is stuck in \"") + peer.last.operation.data() + "\" for " +
                         seconds(limits.stuck));
}

std::string Monitor::lineOf(int culprit, const std::string &reason) const {
  return culprit < 0 ? reason : roster.nameOf(culprit) + " " + reason;
}

void Monitor::tell(int culprit, const std::string &reason) const {
  Message message = makeMessage();
  message.kind = Message::Kind::abort;
  message.culprit = culprit;
  reason.copy(message.reason.data(), message.reason.size() - 1);
  const Clock::time_point end = Clock::now() + tellingTime;
  for (const Stream &stream : roster.control)
    if (stream)
      static_cast<void>(stream.send(&message, sizeof(message), end));
}

void Monitor::abortJob(int culprit, const std::string &reason) {
  end(culprit, reason, lineOf(culprit, reason), peerFailureCode);
}

void Monitor::end(int culprit, const std::string &reason, const std::string &ownLine,
                  int exitCode) {
  ending.lock();
  tell(culprit, reason);
  leave(ownLine, exitCode);
}

// No destructors and no flushing: both may hang in what hangs already.
void Monitor::leave(const std::string &line, int exitCode) {
  const std::string text = program + ": " + line + "\n";
  static_cast<void>(!write(STDERR_FILENO, text.data(), text.size()));
  std::this_thread::sleep_for(lastWords);
  // Only now: its end would look to the others like the cause.
  if (const int culprit = stopped; culprit >= 0)
    endProcess(roster.members[static_cast<size_t>(culprit)].process);
  _exit(exitCode);
}

void Monitor::finish() {
  std::unique_lock lock(mutex);
  ownFinished = true;
  wake();
  changed.wait(lock, [this] { return allFinished; });
}

} // namespace grok::runtime
