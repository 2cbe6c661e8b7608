// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Definitions: PTX ISA, "Parallel Synchronization and Communication
// Instructions" (vote.sync, match.sync, redux.sync, elect.sync, bar.warp.sync)
// and "Data Movement" (shfl.sync).
#include "runtime/device/emulated/WarpCollectives.h"
#include <algorithm>
#include <cmath>

namespace grok::runtime::emulated {

static std::string hex(uint32_t mask) {
  std::ostringstream text;
  text << "0x" << std::hex << mask;
  return text.str();
}

static void runMeeting(Warp &warp, size_t index) {
  const Meeting meeting = warp.meetings[index];
  warp.meetings.erase(warp.meetings.begin() + static_cast<std::ptrdiff_t>(index));
  meeting.run(warp, meeting);
  forLanes(warp, meeting.arrived, [](Lane &lane) {
    if (lane.state == State::collective)
      makeReady(lane);
  });
}

// Two meetings that each need a lane of the other never end.
static void refuseDivergence(Lane &lane, const Meeting &other, uint32_t mask,
                             GrokEmulatorSite site) {
  if (!(other.mask & 1u << lane.lane) || !(other.arrived & mask))
    return;
  failAt(lane, site, "lane ", lane.lane, " of warp ", lane.warp->index,
         " arrives at another operation or another mask than lanes ", hex(other.arrived),
         ", which wait for it at (", other.site, ")");
}

void meet(Lane &lane, uint32_t mask, Meeting::Run run, uint64_t how, bool isAligned,
          GrokEmulatorSite site) {
  Warp &warp = *lane.warp;
  const uint32_t bit = 1u << lane.lane;
  if (!(mask & bit))
    failAt(lane, site, "lane ", lane.lane, " is not in its own mask ", hex(mask));
  if (isAligned && (mask & ~warp.alive))
    failAt(lane, site, "lanes ", hex(mask & ~warp.alive), " of warp ", warp.index,
           " have ended; all must take part");
  size_t index = 0;
  for (; index < warp.meetings.size(); ++index) {
    const Meeting &other = warp.meetings[index];
    if (other.run == run && other.mask == mask && other.how == how &&
        (!isAligned || other.site == site))
      break;
    refuseDivergence(lane, other, mask, site);
  }
  if (index == warp.meetings.size())
    warp.meetings.push_back({run, mask, 0, how, site});
  Meeting &meeting = warp.meetings[index];
  meeting.arrived |= bit;
  if (meeting.arrived == (mask & warp.alive))
    runMeeting(warp, index);
  else
    block(lane, State::collective, site);
}

void leaveMeetings(Warp &warp) {
  for (size_t i = 0; i < warp.meetings.size();)
    if (warp.meetings[i].arrived == (warp.meetings[i].mask & warp.alive))
      runMeeting(warp, i);
    else
      ++i;
}

static void runNothing(Warp &, const Meeting &) {}

void syncWarp(GrokEmulatorThread *thread, uint32_t mask, GrokEmulatorSite site) {
  meet(laneOf(thread), mask, runNothing, 0, false, site);
}

static void runShuffle(Warp &warp, const Meeting &meeting) {
  const auto kind = static_cast<uint32_t>(meeting.how >> 16);
  forLanes(warp, meeting.arrived, [&](Lane &lane) {
    const auto packed = static_cast<uint32_t>(lane.detail >> 32);
    const auto b = static_cast<uint32_t>(lane.detail) & 31;
    const uint32_t clamp = packed & 31, segment = packed >> 8 & 31;
    const uint32_t highest = (lane.lane & segment) | (clamp & ~segment);
    const uint32_t lowest = lane.lane & segment;
    const int self = static_cast<int>(lane.lane);
    int source = 0;
    bool isValid = false;
    switch (kind) {
    case grokShuffleUp:
      source = self - static_cast<int>(b);
      isValid = source >= static_cast<int>(highest);
      break;
    case grokShuffleDown:
      source = self + static_cast<int>(b);
      isValid = source <= static_cast<int>(highest);
      break;
    case grokShuffleXor:
      source = self ^ static_cast<int>(b);
      isValid = source <= static_cast<int>(highest);
      break;
    default:
      source = static_cast<int>(lowest | (b & ~segment));
      isValid = source <= static_cast<int>(highest);
    }
    if (!isValid)
      source = self;
    // PTX leaves the value of a lane outside the mask undefined.
    if (!(meeting.arrived >> source & 1)) {
      lane.result = ~uint64_t(0);
      return;
    }
    lane.result = static_cast<uint32_t>(warp.lanes[source].argument) | uint64_t(isValid) << 32;
  });
}

uint64_t shuffle(GrokEmulatorThread *thread, uint32_t mask, uint32_t value, uint32_t from,
                 uint32_t how, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.argument = value;
  lane.detail = from | uint64_t(how & 0xffff) << 32;
  meet(lane, mask, runShuffle, how & 0xffff0000u, false, site);
  if (lane.result == ~uint64_t(0))
    failAt(lane, site, "shuffle from a lane that takes no part: mask ", hex(mask));
  return lane.result;
}

static void runVote(Warp &warp, const Meeting &meeting) {
  uint32_t ballot = 0;
  forLanes(warp, meeting.arrived,
           [&](Lane &lane) { ballot |= static_cast<uint32_t>(lane.argument) << lane.lane; });
  uint32_t result = ballot;
  if (meeting.how == grokVoteAny)
    result = ballot != 0;
  else if (meeting.how == grokVoteAll)
    result = ballot == meeting.arrived;
  else if (meeting.how == grokVoteUniform)
    result = ballot == 0 || ballot == meeting.arrived;
  forLanes(warp, meeting.arrived, [&](Lane &lane) { lane.result = result; });
}

uint32_t vote(GrokEmulatorThread *thread, uint32_t mask, uint32_t predicate, uint32_t how,
              GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.argument = predicate != 0;
  meet(lane, mask, runVote, how, false, site);
  return static_cast<uint32_t>(lane.result);
}

static void runMatch(Warp &warp, const Meeting &meeting) {
  forLanes(warp, meeting.arrived, [&](Lane &lane) {
    uint32_t same = 0;
    forLanes(warp, meeting.arrived, [&](const Lane &other) {
      same |= static_cast<uint32_t>(other.argument == lane.argument) << other.lane;
    });
    const bool all = same == meeting.arrived;
    lane.result = meeting.how ? (all ? same | uint64_t(1) << 32 : 0) : same;
  });
}

uint64_t match(GrokEmulatorThread *thread, uint32_t mask, uint64_t value, uint32_t all,
               GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.argument = value;
  meet(lane, mask, runMatch, all, false, site);
  return lane.result;
}

static float reduxFloat(uint64_t how, float a, float b) {
  if ((how >> 9 & 1) && (std::isnan(a) || std::isnan(b)))
    return __builtin_nanf("");
  // fmin and fmax return the operand that is a number.
  return (how & 0xff) == grokReduxFmin ? std::fmin(a, b) : std::fmax(a, b);
}

static uint32_t reduxWord(uint64_t how, uint32_t a, uint32_t b) {
  const auto x = static_cast<int32_t>(a), y = static_cast<int32_t>(b);
  switch (how & 0xff) {
  case grokReduxAdd:
    return a + b;
  case grokReduxAnd:
    return a & b;
  case grokReduxOr:
    return a | b;
  case grokReduxXor:
    return a ^ b;
  case grokReduxMin:
    return static_cast<uint32_t>(std::min(x, y));
  case grokReduxMax:
    return static_cast<uint32_t>(std::max(x, y));
  case grokReduxUmin:
    return std::min(a, b);
  case grokReduxUmax:
    return std::max(a, b);
  default:
    return std::bit_cast<uint32_t>(
        reduxFloat(how, std::bit_cast<float>(a), std::bit_cast<float>(b)));
  }
}

static void runRedux(Warp &warp, const Meeting &meeting) {
  const auto value = [&](const Lane &lane) {
    const auto word = static_cast<uint32_t>(lane.argument);
    return (meeting.how >> 8 & 1) ? word & 0x7fffffffu : word; // .abs
  };
  const uint32_t first = std::countr_zero(meeting.arrived);
  uint32_t sum = value(warp.lanes[first]);
  forLanes(warp, meeting.arrived & ~(1u << first),
           [&](const Lane &lane) { sum = reduxWord(meeting.how, sum, value(lane)); });
  forLanes(warp, meeting.arrived, [&](Lane &lane) { lane.result = sum; });
}

uint32_t redux(GrokEmulatorThread *thread, uint32_t mask, uint32_t value, uint32_t how,
               GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.argument = value;
  meet(lane, mask, runRedux, how, false, site);
  return static_cast<uint32_t>(lane.result);
}

static void runElect(Warp &warp, const Meeting &meeting) {
  // PTX leaves the choice open but deterministic: the lowest lane.
  const auto leader = static_cast<uint32_t>(std::countr_zero(meeting.arrived));
  forLanes(warp, meeting.arrived, [&](Lane &lane) { lane.result = lane.lane == leader; });
}

uint32_t elect(GrokEmulatorThread *thread, uint32_t mask, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  meet(lane, mask, runElect, 0, false, site);
  return static_cast<uint32_t>(lane.result);
}

} // namespace grok::runtime::emulated
