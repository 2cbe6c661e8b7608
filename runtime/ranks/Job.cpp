// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/Job.h"
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/ProcessCommunicator.h"
#include "runtime/collectives/SocketTransport.h"
#include "runtime/ranks/LeaderAddress.h"
#include "runtime/ranks/Monitor.h"
#include <algorithm>
#include <charconv>
#include <cstring>
#include <unistd.h>

namespace grok::runtime {

// How long the monitor may take to name the culprit before we say what we know:
// a rank that ends because another died is not the one to blame.
static constexpr std::chrono::seconds monitorsTurn{1};

// All ranks were there a moment ago.
static constexpr std::chrono::seconds pairingTime{5};

struct Job::Parts {
  int rank;
  std::unique_ptr<ProcessCommunicator> communicator;
  std::unique_ptr<Monitor> monitor; // gone before the communicator that it reads
};

static Result<void> readSeconds(const Variables &variables, const char *name,
                                std::chrono::milliseconds &time) {
  const char *text = variables(name);
  if (!text)
    return {};
  double seconds = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), seconds);
  if (error != std::errc() || *end || !(seconds >= 0.01 && seconds <= 86400))
    return fail(name, ": '", text, "', expected seconds in 0.01..86400");
  time = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  return {};
}

Result<JobOptions> JobOptions::from(const Variables &variables) {
  JobOptions options;
  if (auto read = readSeconds(variables, "GROK_RANK_JOIN_TIME", options.joinTime); !read)
    return fail(read.error());
  if (auto read = readSeconds(variables, "GROK_RANK_DEADLINE", options.deadline); !read)
    return fail(read.error());
  const char *memory = variables("GROK_RANK_MEMORY");
  const std::string kind = memory ? memory : "shared";
  if (kind != "shared" && kind != "private")
    return fail("GROK_RANK_MEMORY: '", kind, "', expected shared or private");
  options.sharedMemory = kind == "shared";
  return options;
}

static Member describeThis(const RankEnvironment &environment, const JobIdentity &identity,
                           int port) {
  Member member = {};
  member.rank = environment.rank;
  member.ranks = environment.ranks;
  member.identity = identity;
  member.pageSize = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  member.process = ProcessIdentity::ofThis();
  hostName().copy(member.host.data(), member.host.size() - 1);
  member.port = port;
  return member;
}

static ProcessLayout layoutOf(const Roster &roster, int rank, bool sharedMemory) {
  ProcessLayout layout = {rank, {}, 0, sharedMemory};
  const Member &own = roster.members[static_cast<size_t>(rank)];
  for (const Member &member : roster.members) {
    layout.hosts.emplace_back(member.host.data());
    layout.ranksOnHost += onOneHost(member.process, own.process);
  }
  return layout;
}

static Result<Roster> meet(const RankEnvironment &environment, const JobIdentity &identity,
                           const LeaderAddress &leader, const Listener &listener,
                           Clock::time_point end) {
  const Member own = describeThis(environment, identity, listener.port());
  return environment.rank == 0 ? gatherRanks(listener, own, leader.token, end)
                               : joinRanks(leader.hosts, leader.port, own, leader.token, end);
}

Result<std::unique_ptr<Job>> Job::join(const RankEnvironment &environment,
                                       const JobIdentity &identity, const JobOptions &options) {
  const Clock::time_point end = Clock::now() + options.joinTime;
  const bool listensThere = environment.rank == 0 && !environment.mpi;
  auto listener = Listener::open(listensThere ? environment.leaderPort : 0);
  if (!listener)
    return fail(listener.error());
  std::unique_ptr<Transport> transport;
  LeaderAddress leader = {{environment.leaderHost}, environment.leaderPort, {}};
  if (environment.mpi) {
    auto found = findLeaderByMpi(environment, listener->port(), transport, options.program, end);
    if (!found)
      return fail(found.error());
    leader = *found;
  }
  auto roster = meet(environment, identity, leader, *listener, end);
  if (!roster)
    return fail(roster.error());
  if (!environment.mpi) {
    const Clock::time_point paired = Clock::now() + pairingTime;
    auto sockets = connectPairs(*roster, environment.rank, *listener, paired);
    const std::string problem = sockets ? "" : sockets.error();
    if (auto agreed = agreeOnPairs(*roster, environment.rank, problem, paired); !agreed)
      return fail(agreed.error());
    transport = makeSocketTransport(*sockets);
  }
  auto parts = std::make_unique<Parts>();
  parts->rank = environment.rank;
  parts->communicator = std::make_unique<ProcessCommunicator>(
      std::move(transport), layoutOf(*roster, environment.rank, options.sharedMemory));
  parts->communicator->setInStep(false);
  parts->communicator->setDeadline(options.deadline);
  MonitorLimits limits;
  limits.stuck = options.deadline * 3 / 4;
  limits.silent = std::max(limits.silent, options.deadline * 3 / 8);
  parts->monitor = std::make_unique<Monitor>(std::move(*roster), environment.rank,
                                             *parts->communicator, limits, options.program);
  return std::unique_ptr<Job>(new Job(std::move(parts)));
}

Job::Job(std::unique_ptr<Parts> made) : parts(std::move(made)) {}

Job::~Job() = default;

Communicator &Job::communicator() { return *parts->communicator; }

Result<void> Job::finish() {
  parts->communicator->setInStep(false);
  parts->communicator->setOperation("the end");
  parts->monitor->finish();
  auto closed = parts->communicator->close();
  if (closed) // else end() is next, which needs it
    parts->monitor.reset();
  return closed;
}

void Job::end(const std::string &error) {
  if (!parts->communicator->peerFailed())
    parts->monitor->end(parts->rank, "cannot go on: " + error, error, 1);
  std::this_thread::sleep_for(monitorsTurn);
  parts->monitor->end(-1, error, error, Monitor::peerFailureCode);
}

} // namespace grok::runtime
