// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/PeerExchange.h"
#include "runtime/executor/Greeting.h"
#include <cstdlib>
#include <set>
#include <thread>
#include <unistd.h>

namespace grok::runtime {

using Clock = std::chrono::steady_clock;

// A kernel that waits says so again within this time.
static constexpr std::chrono::seconds longestSilence{3};
// Between looks, where ranks outnumber processors.
static constexpr std::chrono::microseconds lookEvery{20};

Result<std::unique_ptr<PeerExchange>> PeerExchange::create(Device &device, const RankLinks &links) {
  PeerMemory *peers = device.peers();
  const auto kernel = device.service("exchange");
  std::unique_ptr<PeerExchange> made(new PeerExchange(device, links, kernel.value_or(0)));
  const char *fused = std::getenv("GROK_FUSED_EXCHANGE");
  if (!fused || std::string_view(fused) != "0")
    made->normKernelNumber = device.service("exchange_norm");
  // Whether all have the kernel depends on the plan alone, but for the kinds of their devices.
  if (peers) {
    auto control = peers->allocateOnHost(sizeof(GrokExchangeControl));
    if (!control)
      return fail(control.error());
    made->control = std::move(*control);
  }
  for (const RankLinks::Entry &entry : links.all())
    if (auto met = made->meet(entry); !met)
      return fail(met.error());
  if (peers && !made->meetings.empty())
    peers->setWatch([self = made.get()] { return self->look(); });
  return made;
}

PeerExchange::~PeerExchange() {
  if (PeerMemory *peers = device.peers())
    peers->setWatch(nullptr);
}

namespace {

/// What each member sends to each other first.
struct Introduction {
  int32_t process;
  uint32_t canOffer, canOfferToOwn; // a window; to its own process, too
};

/// What each member sends to each other then, twice: of its own window, then of theirs.
struct Greeting {
  uint32_t canReach; // so far
  WindowOffer offer;
};

} // namespace

static bool allCan(const std::vector<Greeting> &greetings) {
  return std::all_of(greetings.begin(), greetings.end(),
                     [](const Greeting &greeting) { return greeting.canReach != 0; });
}

/// Whether all could map the windows of all. If not none is made: they may last as long as
/// the process.
static bool canMeet(const std::vector<Introduction> &all) {
  std::set<int32_t> processes;
  for (const Introduction &each : all)
    if (const bool isFirst = processes.insert(each.process).second;
        each.canOffer == 0 || (!isFirst && each.canOfferToOwn == 0))
      return false;
  return true;
}

Result<PeerExchange::Meeting> PeerExchange::makeMeeting(const Group &group,
                                                        std::span<const WindowOffer> offers,
                                                        std::unique_ptr<DeviceMemory> own) {
  Meeting meeting;
  meeting.index = group.index();
  for (int member = 0; member < group.members(); ++member) {
    if (member == group.index()) {
      meeting.windows.push_back(std::move(own));
      continue;
    }
    auto window = device.peers()->mapWindow(offers[static_cast<size_t>(member)]);
    if (!window)
      return fail(window.error());
    meeting.windows.push_back(std::move(*window));
  }
  auto state = device.allocate(sizeof(GrokExchangeState), "the state of collectives");
  if (!state)
    return fail(state.error());
  meeting.state = std::move(*state);
  return device.wait().map([&] { return std::move(meeting); });
}

/// Only if every member can: they tell each other before and after they have mapped the
/// windows. Ranks that cannot take part for reasons of their own still do that.
Result<void> PeerExchange::meet(const RankLinks::Entry &entry) {
  const Group &group = *entry.group;
  Communicator &communicator = links.communicator();
  if (group.members() > grokExchangeMembers || !group.sharesMemory())
    return {}; // the same on all members
  PeerMemory *peers = device.peers();
  const auto introduced = greet(communicator, group,
                                Introduction{.process = getpid(),
                                             .canOffer = peers && device.service("exchange"),
                                             .canOfferToOwn = peers && peers->mapsOwnWindows()});
  if (!introduced)
    return fail(introduced.error());
  if (!canMeet(*introduced))
    return {};
  Greeting own = {};
  std::unique_ptr<DeviceMemory> window;
  if (auto made = peers->makeWindow(GROK_EXCHANGE_WINDOW_BYTES, own.offer)) {
    window = std::move(*made);
    own.canReach = 1;
  }
  auto offered = greet(communicator, group, own);
  if (!offered)
    return fail(offered.error());
  if (!allCan(*offered))
    return {};
  std::vector<WindowOffer> offers;
  for (const Greeting &greeting : *offered)
    offers.push_back(greeting.offer);
  auto meeting = makeMeeting(group, offers, std::move(window));
  own.canReach = meeting.has_value();
  auto mapped = greet(communicator, group, own);
  if (!mapped)
    return fail(mapped.error());
  if (allCan(*mapped))
    meetings.emplace(entry.over, std::move(*meeting));
  return {};
}

std::optional<GrokExchange> PeerExchange::describe(plan::Collective kind, plan::Axis over,
                                                   uint64_t rowBytes, bool ofLogits,
                                                   const char *operation) {
  const bool isSum = kind == plan::Collective::all_reduce;
  const auto found = meetings.find(over);
  if ((!isSum && kind != plan::Collective::all_gather) || found == meetings.end() ||
      rowBytes % sizeof(uint32_t) != 0)
    return std::nullopt;
  const Meeting &meeting = found->second;
  GrokExchange exchange = {};
  for (size_t member = 0; member < meeting.windows.size(); ++member)
    exchange.windows[member] = reinterpret_cast<uint64_t>(meeting.windows[member]->data());
  exchange.state = reinterpret_cast<uint64_t>(meeting.state->data());
  exchange.control = reinterpret_cast<uint64_t>(control->data());
  exchange.rowWords = static_cast<int64_t>(rowBytes / sizeof(uint32_t));
  exchange.members = static_cast<int32_t>(meeting.windows.size());
  exchange.index = meeting.index;
  exchange.isSum = isSum;
  exchange.ofLogits = ofLogits;
  exchange.operation = static_cast<int32_t>(operations.size());
  operations.push_back({operation, over, isSum});
  return exchange;
}

/// Kernels cannot tell how long they wait: they say for whom, we look at the clock.
Result<void> PeerExchange::look() {
  auto &words = *reinterpret_cast<volatile GrokExchangeControl *>(control->data());
  const uint32_t waiting = words.waiting;
  Communicator &communicator = links.communicator();
  if (waiting != 0) {
    const Operation &operation = operations[waiting >> 8];
    const int rank = links.group(operation.over).rankOf(static_cast<int>((waiting & 255) - 1));
    if (waitingIn != (waiting >> 8) + 1 || !wait) {
      communicator.setOperation(operation.name);
      wait.reset();
      wait.emplace(communicator.waitRules(), operation.isSum ? "all_reduce" : "all_gather", rank);
    }
    waitingIn = (waiting >> 8) + 1;
    lastSpoke = Clock::now();
    wait->waitFor(rank);
  } else if (wait && Clock::now() - lastSpoke > longestSilence) {
    wait.reset();
  }
  WaitRules &rules = communicator.waitRules();
  if (rules.spin.count() == 0)
    std::this_thread::sleep_for(lookEvery);
  Result<void> going = wait ? wait->check() : Result<void>();
  if (rules.abort->raised() && going) {
    rules.peerFailed = true;
    going = fail(rules.abort->reason());
  }
  if (!going)
    words.abort = 1;
  return going;
}

} // namespace grok::runtime
