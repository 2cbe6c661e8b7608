// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/LeaderAddress.h"
#include "runtime/collectives/HostInfo.h"
#include "runtime/collectives/MpiTransport.h"
#include <algorithm>
#include <future>
#include <thread>
#include <unistd.h>

namespace grok::runtime {

static constexpr std::chrono::milliseconds lookInterval{1};

namespace {

// As it is sent.
struct Notice {
  static constexpr size_t most = 16;
  std::array<std::array<char, 64>, most> hosts;
  std::array<char, 40> bootId; // a loopback address means the sender on one host only
  uint64_t numHosts;
  int64_t port;
  Token token;
};

} // namespace

static Result<void> complete(Transport &transport, Transport::Ticket ticket, int peer,
                             Clock::time_point end) {
  for (;;) {
    auto done = transport.test(ticket);
    if (!done)
      return fail("rank ", peer, " ", done.error());
    if (*done)
      return {};
    if (Clock::now() > end)
      return fail("rank ", peer, " does not start");
    std::this_thread::sleep_for(lookInterval);
  }
}

static Result<Notice> makeNotice(int port) {
  Notice notice = {};
  const std::vector<std::string> hosts = ownAddresses();
  notice.numHosts = std::min(hosts.size(), Notice::most);
  // From the end: the loopback is there, and the only one on a machine offline.
  for (size_t i = 0; i < notice.numHosts; ++i)
    hosts[hosts.size() - notice.numHosts + i].copy(notice.hosts[i].data(), 63);
  bootId().copy(notice.bootId.data(), notice.bootId.size() - 1);
  notice.port = port;
  auto token = makeToken();
  if (!token)
    return fail(token.error());
  notice.token = *token;
  return notice;
}

static Result<void> tellEveryone(Transport &transport, int ranks, const Notice &notice,
                                 Clock::time_point end) {
  std::vector<Transport::Ticket> tickets;
  for (int peer = 1; peer < ranks; ++peer) {
    auto sent = transport.startSend(peer, Transport::Channel::setup, &notice, sizeof(notice));
    if (!sent)
      return fail("rank ", peer, " ", sent.error());
    tickets.push_back(*sent);
  }
  for (int peer = 1; peer < ranks; ++peer)
    if (auto done = complete(transport, tickets[static_cast<size_t>(peer) - 1], peer, end); !done)
      return done;
  return {};
}

static Result<Notice> hearFromLeader(Transport &transport, Clock::time_point end) {
  Notice notice;
  auto ticket = transport.startReceive(0, Transport::Channel::setup, &notice, sizeof(notice));
  if (!ticket)
    return fail("rank 0 ", ticket.error());
  if (auto done = complete(transport, *ticket, 0, end); !done)
    return fail(done.error());
  return notice;
}

static Result<MpiWorld> startMpiUntil(const std::string &program, Clock::time_point end) {
  std::promise<void> started;
  std::thread guard([&, seen = started.get_future()] {
    if (seen.wait_until(end) == std::future_status::ready)
      return;
    const std::string line = program + ": MPI does not start: it waits for a rank in vain\n";
    static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
    _exit(1);
  });
  auto world = startMpi();
  started.set_value();
  guard.join();
  return world;
}

Result<LeaderAddress> findLeaderByMpi(const RankEnvironment &environment, int port,
                                      std::unique_ptr<Transport> &transport,
                                      const std::string &program, Clock::time_point end) {
  auto world = startMpiUntil(program, end);
  if (!world)
    return fail(world.error(), "; --leader=HOST:PORT does without MPI");
  // Another MPI's mpirun starts what looks like so many jobs of one rank.
  if (world->rank != environment.rank || world->ranks != environment.ranks)
    return fail("libgrok-mpi.so sees rank ", world->rank, " of ", world->ranks,
                ", mpirun started rank ", environment.rank, " of ", environment.ranks,
                ": they belong to different MPIs");
  transport = std::move(world->transport);
  const bool isLeader = environment.rank == 0;
  auto notice = isLeader ? makeNotice(port) : hearFromLeader(*transport, end);
  if (!notice)
    return fail(notice.error());
  if (isLeader)
    if (auto told = tellEveryone(*transport, environment.ranks, *notice, end); !told)
      return fail(told.error());
  const bool isSameHost = bootId() == notice->bootId.data();
  LeaderAddress leader = {{}, static_cast<int>(notice->port), notice->token};
  for (size_t i = 0; i < std::min<size_t>(notice->numHosts, Notice::most); ++i) {
    const std::string host = notice->hosts[i].data();
    if (isSameHost || !(host.starts_with("127.") || host == "::1"))
      leader.hosts.push_back(host);
  }
  return leader;
}

} // namespace grok::runtime
