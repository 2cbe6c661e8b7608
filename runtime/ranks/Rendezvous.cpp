// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/Rendezvous.h"
#include <algorithm>
#include <cstring>
#include <sys/random.h>
#include <sys/socket.h>
#include <thread>

namespace grok::runtime {

static constexpr std::chrono::seconds helloTime{2};
static constexpr std::chrono::milliseconds retryTime{100};
// After a refusal is certain, how long the others may take to hear of it.
static constexpr std::chrono::seconds graceTime{3};

namespace {

// First on every connection. The numbers change with anything sent here or by
// the monitor, so that ranks of different builds refuse each other.
enum class Purpose : uint32_t { none, join = 0x67726a01, pair = 0x67727001 };

struct Hello {
  Purpose purpose;
  uint32_t bytes; // of this: another byte order or build shows here
  Token token;
  Member member;
};

// Rank 0's immediate answer to a join, so that nobody waits for a stranger. The
// rank says it back: it may have given up on this connection and made another.
constexpr uint32_t welcome = 0x67727701;

struct Verdict {
  uint32_t refused;
  std::array<char, 508> why;
  Token token;
};

} // namespace

static std::string nameOf(const Member &member) {
  return "rank " + std::to_string(member.rank) + " (host " + member.host.data() + ")";
}

std::string Roster::nameOf(int rank) const {
  return grok::runtime::nameOf(members[static_cast<size_t>(rank)]);
}

Result<Token> makeToken() {
  Token token;
  if (getrandom(token.data(), sizeof(token), 0) < 0)
    return fail("no random numbers: ", std::strerror(errno));
  return token;
}

static Hello makeHello(Purpose purpose, const Token &token, const Member &member) {
  Hello hello = {};
  hello.purpose = purpose;
  hello.bytes = sizeof(Hello);
  hello.token = token;
  hello.member = member;
  return hello;
}

static bool isValid(const Hello &hello, Purpose purpose, const Token &token) {
  return hello.purpose == purpose && hello.bytes == sizeof(Hello) && hello.token == token;
}

// What of `other` keeps it from running with rank 0; "" if nothing.
static std::string differenceOf(const Member &leader, const Member &other) {
  const std::string name = nameOf(other);
  if (other.ranks != leader.ranks)
    return name + " was started as one of " + std::to_string(other.ranks) +
           " ranks, rank 0 as one of " + std::to_string(leader.ranks);
  if (other.identity.planHash != leader.identity.planHash)
    return name + " has another plan than " + nameOf(leader);
  if (other.pageSize != leader.pageSize)
    return name + " has memory pages of " + std::to_string(other.pageSize) + " bytes, " +
           nameOf(leader) + " of " + std::to_string(leader.pageSize);
  return "";
}

// Takes in one connection; strangers are dropped without a word.
static void admit(Stream stream, const Token &token, Roster &roster, std::string &difference) {
  const Clock::time_point end = Clock::now() + helloTime;
  Hello hello;
  if (!stream.receive(&hello, sizeof(hello), end) || !isValid(hello, Purpose::join, token))
    return;
  uint32_t answer = 0;
  if (!stream.send(&welcome, sizeof(welcome), end) ||
      !stream.receive(&answer, sizeof(answer), end) || answer != welcome)
    return;
  Member &member = hello.member;
  member.host.back() = 0;
  stream.peerAddress().copy(member.address.data(), member.address.size() - 1);
  const std::string found = differenceOf(roster.members[0], member);
  const auto rank = static_cast<size_t>(member.rank);
  const bool isKnown = member.rank > 0 && rank < roster.members.size();
  if (difference.empty() && !found.empty())
    difference = found;
  else if (difference.empty() && (!isKnown || roster.control[rank]))
    difference = "two processes say that they are " + nameOf(member);
  if (!isKnown || roster.control[rank]) {
    roster.control.push_back(std::move(stream)); // hears the refusal
    return;
  }
  roster.members[rank] = member;
  roster.control[rank] = std::move(stream);
}

static std::string missingRanks(const Roster &roster) {
  std::string missing;
  int more = 0;
  for (size_t rank = 1; rank < roster.members.size(); ++rank)
    if (!roster.control[rank] && missing.size() < 60)
      missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
    else if (!roster.control[rank])
      ++more;
  return missing + (more ? " and " + std::to_string(more) + " more" : "");
}

static Verdict makeVerdict(const std::string &refusal, const Token &token) {
  Verdict verdict = {};
  verdict.refused = !refusal.empty();
  refusal.copy(verdict.why.data(), verdict.why.size() - 1);
  verdict.token = token;
  return verdict;
}

static Result<Verdict> hearVerdict(const Stream &stream, Clock::time_point end) {
  Verdict verdict;
  if (auto got = stream.receive(&verdict, sizeof(verdict), end); !got)
    return fail(got.error());
  verdict.why.back() = 0;
  return verdict;
}

static void tellVerdict(const Roster &roster, const std::string &refusal) {
  const Clock::time_point end = Clock::now() + helloTime;
  const Verdict verdict = makeVerdict(refusal, roster.token);
  for (const Stream &stream : roster.control)
    if (stream && stream.send(&verdict, sizeof(verdict), end) && refusal.empty())
      // A rank that is gone by now is the monitor's to report.
      static_cast<void>(
          stream.send(roster.members.data(), roster.members.size() * sizeof(Member), end));
}

Result<Roster> gatherRanks(const Listener &listener, const Member &own, const Token &token,
                           Clock::time_point end) {
  const Clock::time_point start = Clock::now();
  const auto ranks = static_cast<size_t>(own.ranks);
  Roster roster;
  roster.members.resize(ranks);
  roster.members[0] = own;
  roster.control.resize(ranks);
  auto made = makeToken();
  if (!made)
    return fail(made.error());
  roster.token = *made;
  std::string difference;
  while (!missingRanks(roster).empty() && Clock::now() < end) {
    auto stream = listener.accept(end);
    if (!stream)
      return fail(stream.error());
    const bool wasGood = difference.empty();
    if (*stream)
      admit(std::move(*stream), token, roster, difference);
    if (wasGood && !difference.empty())
      end = std::min(end, Clock::now() + graceTime);
  }
  if (const std::string missing = missingRanks(roster); difference.empty() && !missing.empty())
    difference = "rank " + missing + " did not join within " +
                 std::to_string(std::chrono::round<std::chrono::seconds>(end - start).count()) +
                 " s";
  tellVerdict(roster, difference);
  if (!difference.empty())
    return fail(difference);
  return roster;
}

// Connected to rank 0 of our job and no other process that listens there.
static Result<Stream> knock(const std::string &host, int port, const Hello &hello,
                            Clock::time_point end) {
  auto stream = Stream::connect(host, port, end);
  if (!stream)
    return stream;
  const Clock::time_point soon = std::min(end, Clock::now() + helloTime);
  uint32_t answer = 0;
  if (auto sent = stream->send(&hello, sizeof(hello), soon); !sent)
    return fail(host, ":", port, ": ", sent.error());
  if (auto got = stream->receive(&answer, sizeof(answer), soon); !got || answer != welcome)
    return fail(host, ":", port, ": ", got ? "not rank 0 of this job" : got.error());
  if (auto sent = stream->send(&welcome, sizeof(welcome), end); !sent)
    return fail(host, ":", port, ": ", sent.error());
  return stream;
}

static Result<Stream> reachLeader(const std::vector<std::string> &hosts, int port,
                                  const Hello &hello, Clock::time_point end) {
  std::string why = "no address";
  while (Clock::now() < end) {
    for (const std::string &host : hosts) {
      auto stream = knock(host, port, hello, end);
      if (stream)
        return stream;
      why = stream.error();
    }
    std::this_thread::sleep_for(retryTime); // rank 0 may start later than we
  }
  return fail("rank 0 cannot be reached: ", why);
}

Result<Roster> joinRanks(const std::vector<std::string> &hosts, int port, const Member &own,
                         const Token &token, Clock::time_point end) {
  auto stream = reachLeader(hosts, port, makeHello(Purpose::join, token, own), end);
  if (!stream)
    return fail(stream.error());
  const Clock::time_point told = end + graceTime; // rank 0 waits until `end` itself
  auto verdict = hearVerdict(*stream, told);
  if (!verdict)
    return fail("rank 0 gave up while the ranks joined: ", verdict.error());
  if (verdict->refused)
    return fail(verdict->why.data());
  Roster roster;
  roster.token = verdict->token;
  roster.members.resize(static_cast<size_t>(own.ranks));
  const size_t bytes = roster.members.size() * sizeof(Member);
  if (auto got = stream->receive(roster.members.data(), bytes, told); !got)
    return fail("rank 0 gave up while the ranks joined: ", got.error());
  roster.control.push_back(std::move(*stream));
  return roster;
}

// What a rank says of its pairs; "" if it has them all.
static std::string hearOfPairs(const Roster &roster, int rank, Clock::time_point end) {
  const auto number = static_cast<size_t>(rank);
  auto verdict = hearVerdict(roster.control[number], end);
  if (!verdict) {
    endProcess(roster.members[number].process); // it may be stopped
    return roster.nameOf(rank) + " ended or stopped while the ranks joined: " + verdict.error();
  }
  return verdict->refused ? verdict->why.data() : "";
}

Result<void> agreeOnPairs(const Roster &roster, int rank, const std::string &problem,
                          Clock::time_point end) {
  std::string refusal = problem;
  if (rank == 0) {
    for (int other = 1; other < static_cast<int>(roster.members.size()) && refusal.empty(); ++other)
      refusal = hearOfPairs(roster, other, end);
    const Verdict verdict = makeVerdict(refusal, roster.token);
    for (const Stream &stream : roster.control)
      if (stream)
        static_cast<void>(stream.send(&verdict, sizeof(verdict), Clock::now() + helloTime));
    return refusal.empty() ? Result<void>() : fail(refusal);
  }
  const Verdict own = makeVerdict(problem, roster.token);
  const Clock::time_point told = end + graceTime;
  const Stream &leader = roster.control[0];
  auto verdict =
      leader.send(&own, sizeof(own), told).and_then([&] { return hearVerdict(leader, told); });
  if (!verdict)
    return fail(roster.nameOf(0), " gave up while the ranks joined: ", verdict.error());
  return verdict->refused ? fail(verdict->why.data()) : Result<void>();
}

// Rank 0's address as the others see it is the one that they reached it at.
static Result<Stream> connectPair(const Roster &roster, int own, int peer, Clock::time_point end) {
  const Member &member = roster.members[static_cast<size_t>(peer)];
  const std::string address =
      peer == 0 ? roster.control[0].peerAddress() : std::string(member.address.data());
  auto stream = Stream::connect(address, member.port, end);
  if (!stream)
    return fail(roster.nameOf(peer), " cannot be reached: ", stream.error());
  const Hello hello =
      makeHello(Purpose::pair, roster.token, roster.members[static_cast<size_t>(own)]);
  if (auto sent = stream->send(&hello, sizeof(hello), end); !sent)
    return fail(roster.nameOf(peer), " cannot be reached: ", sent.error());
  return stream;
}

// A rank whose connection to us ended already, or -1: it died after it joined.
static int lostRank(const Roster &roster) {
  for (size_t i = 0; i < roster.control.size(); ++i) {
    char next = 0;
    if (roster.control[i] &&
        recv(roster.control[i].socket(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
      return static_cast<int>(i);
  }
  return -1;
}

// Lower ranks are connected to, higher ones connect: all listen already, so
// nobody waits for anybody in a circle.
Result<std::vector<int>> connectPairs(const Roster &roster, int rank, const Listener &listener,
                                      Clock::time_point end) {
  std::vector<Stream> streams(roster.members.size());
  for (int peer = 0; peer < rank; ++peer) {
    auto stream = connectPair(roster, rank, peer, end);
    if (!stream)
      return fail(stream.error());
    streams[static_cast<size_t>(peer)] = std::move(*stream);
  }
  for (auto missing = static_cast<int>(roster.members.size()) - 1 - rank; missing > 0;) {
    auto stream = listener.accept(std::min(end, Clock::now() + retryTime));
    if (!stream)
      return fail(stream.error());
    Hello hello;
    const Clock::time_point soon = std::min(end, Clock::now() + helloTime);
    const bool isPeer = *stream && stream->receive(&hello, sizeof(hello), soon) &&
                        isValid(hello, Purpose::pair, roster.token) && hello.member.rank > rank &&
                        hello.member.rank < static_cast<int>(roster.members.size());
    if (isPeer) {
      streams[static_cast<size_t>(hello.member.rank)] = std::move(*stream);
      --missing;
      continue;
    }
    if (const int lost = lostRank(roster); lost >= 0)
      return fail(roster.nameOf(lost), " ended while the ranks joined");
    if (Clock::now() >= end) {
      const auto first = std::find_if(streams.begin() + rank + 1, streams.end(),
                                      [](const Stream &stream) { return !stream; });
      const auto culprit = static_cast<int>(first - streams.begin());
      endProcess(roster.members[static_cast<size_t>(culprit)].process);
      return fail(roster.nameOf(culprit), " joined, but did not connect to rank ", rank);
    }
  }
  std::vector<int> sockets;
  sockets.reserve(streams.size());
  for (Stream &stream : streams)
    sockets.push_back(stream.release());
  return sockets;
}

} // namespace grok::runtime
