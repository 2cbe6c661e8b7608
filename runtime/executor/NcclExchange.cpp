// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/NcclExchange.h"
#include "runtime/executor/Greeting.h"
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>
#include <thread>

namespace grok::runtime {

static constexpr uint64_t wordBytes = sizeof(float);
// Between looks, where ranks outnumber processors.
static constexpr std::chrono::microseconds lookEvery{20};

static Result<uint64_t> fromBytesAsked() {
  const char *asked = std::getenv("GROK_NCCL_FROM");
  if (!asked)
    return ncclFromBytes;
  const std::string_view text = asked;
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size())
    return fail("GROK_NCCL_FROM: '", text, "' is not a number of bytes");
  return bytes;
}

Result<std::unique_ptr<NcclExchange>> NcclExchange::create(Device &device, const RankLinks &links) {
  const auto merge = device.service("merge");
  const bool isAble = device.queue() && device.peers() && merge && !links.all().empty();
  auto functions = isAble ? nccl::open() : Result<nccl::Functions>(nccl::Functions());
  if (!functions && nccl::isAskedFor())
    return fail(functions.error());
  const bool canMeet = isAble && functions;
  std::unique_ptr<NcclExchange> made(
      new NcclExchange(device, links, functions.value_or(nccl::Functions()), merge.value_or(0)));
  if (canMeet) {
    auto finished = device.peers()->allocateOnHost(sizeof(uint32_t));
    if (!finished)
      return fail(finished.error());
    made->finished = std::move(*finished);
  }
  auto fromBytes = fromBytesAsked();
  if (!fromBytes)
    return fail(fromBytes.error());
  made->fromBytes = *fromBytes;
  if (canMeet)
    device.queue()->setWatch([self = made.get()] { return self->look(); });
  for (const RankLinks::Entry &entry : links.all())
    if (auto met = made->meet(entry, canMeet); !met)
      return fail(met.error());
  if (canMeet && made->meetings.empty())
    device.queue()->setWatch(nullptr);
  return made;
}

NcclExchange::~NcclExchange() {
  if (DeviceQueue *queue = device.queue())
    queue->setWatch(nullptr);
  // Before the memory, whose end waits for what they do.
  for (auto &[over, meeting] : meetings)
    meeting.group = nullptr;
}

void NcclExchange::abort() {
  for (auto &[over, meeting] : meetings)
    meeting.group->abort();
}

namespace {

struct Introduction {
  int32_t version; // of NCCL, 0 = none
  std::array<char, 64> hardware;
  uint64_t fromBytes;
};

} // namespace

/// NCCL wants the same version everywhere, and a GPU for each member.
static bool canMeetAll(const Communicator &communicator, const Group &group,
                       const std::vector<Introduction> &all) {
  std::set<std::pair<std::string, std::string>> gpus;
  for (int member = 0; member < group.members(); ++member) {
    const Introduction &each = all[static_cast<size_t>(member)];
    const std::string &host = communicator.host(group.rankOf(member));
    if (each.version == 0 || each.version != all[0].version ||
        !gpus.insert({host, each.hardware.data()}).second)
      return false;
  }
  return group.members() <= grokMergeMembers;
}

/// Whether NCCL works with this GPU and its driver, for this thread.
Result<void> NcclExchange::probe() {
  return device.queue()->enter().and_then([&](void *) {
    return meetings.empty() ? NcclGroup::probe(links.communicator(), functions) : Result<void>();
  });
}

Result<void> NcclExchange::meet(const RankLinks::Entry &entry, bool canMeet) {
  Communicator &communicator = links.communicator();
  Introduction own = {.version = 0, .hardware = {}, .fromBytes = fromBytes};
  if (canMeet)
    functions.getVersion(&own.version);
  device.hardware().copy(own.hardware.data(), own.hardware.size() - 1);
  auto all = greet(communicator, *entry.group, own);
  if (!all)
    return fail(all.error());
  if (!canMeetAll(communicator, *entry.group, *all))
    return {};
  communicator.setOperation("NCCL");
  auto probed = probe();
  auto ready = greet(communicator, *entry.group, static_cast<int32_t>(probed.has_value()));
  if (!ready)
    return fail(ready.error());
  if (!probed && nccl::isAskedFor())
    return probed;
  if (std::find(ready->begin(), ready->end(), 0) != ready->end())
    return {};
  auto group = NcclGroup::create(*entry.group, communicator, functions);
  if (!group)
    return fail(group.error(), "; set GROK_NCCL_LIBRARY to nothing to go without");
  Meeting &meeting = meetings[entry.over];
  meeting.group = std::move(*group);
  for (const Introduction &each : *all)
    meeting.fromBytes = std::max(meeting.fromBytes, each.fromBytes);
  return warmUp(entry.over);
}

// NCCL connects two GPUs when they first have something for each other, which takes longer
// than a step. Another rank may fail meanwhile.
Result<void> NcclExchange::warmUp(plan::Axis over) {
  NcclGroup &group = *meetings.at(over).group;
  const auto members = static_cast<size_t>(group.members());
  auto memory = device.allocate(2 * members * wordBytes, "messages of NCCL");
  auto stream = device.queue()->enter();
  if (!memory || !stream)
    return fail(memory ? stream.error() : memory.error());
  std::vector<NcclGroup::Part> sent, received;
  for (size_t member = 0; member < members; ++member) {
    sent.push_back({(*memory)->data() + member * wordBytes, wordBytes});
    received.push_back({sent.back().data + members * wordBytes, wordBytes});
  }
  ++issued;
  operations[issued % operations.size()] = {"NCCL", over, false, Wait::Kind::idle};
  auto warm =
      group.exchange(sent, received, *stream)
          .and_then(
              [&] { return group.allGather(sent[0].data, received[0].data, wordBytes, *stream); })
          .and_then([&] {
            return device.queue()->tellHost(reinterpret_cast<uint32_t *>(finished->data()), issued);
          })
          .and_then([&] { return device.wait(); })
          .and_then([&] { return group.check(); });
  if (!warm)
    group.abort();
  return warm;
}

bool NcclExchange::serves(plan::Collective kind, plan::Axis over, uint64_t rowBytes) const {
  return (kind == plan::Collective::all_gather || kind == plan::Collective::all_reduce) &&
         meetings.contains(over) && rowBytes % wordBytes == 0;
}

Result<void> NcclExchange::grow(std::unique_ptr<DeviceMemory> &memory, uint64_t bytes) {
  if (bytes == 0 || (memory && memory->size() >= bytes))
    return {};
  // What is queued may use the old one.
  if (auto idle = device.wait(); !idle)
    return idle;
  memory = nullptr;
  return device.allocate(bytes, "messages of NCCL").map([&](std::unique_ptr<DeviceMemory> made) {
    memory = std::move(made);
  });
}

NcclExchange::Form NcclExchange::formOf(const CollectiveRows &what) {
  return {what.over, what.rowBytes, what.kind == plan::Collective::all_reduce, what.ofLogits};
}

Result<void> NcclExchange::describe(const CollectiveRows &what) {
  std::unique_ptr<DeviceMemory> &form = forms[formOf(what)];
  if (form)
    return {};
  const NcclGroup &group = *meetings.at(what.over).group;
  const GrokMerge merge = {.rowWords = static_cast<int64_t>(what.rowBytes / wordBytes),
                           .members = group.members(),
                           .index = group.index(),
                           .isSum = what.kind == plan::Collective::all_reduce,
                           .ofLogits = what.ofLogits};
  auto memory = device.allocate(sizeof merge, "collectives");
  if (!memory)
    return fail(memory.error());
  form = std::move(*memory);
  return device.upload(form->data(), std::as_bytes(std::span(&merge, 1)));
}

/// Words that each member adds up for all.
static uint64_t shareOf(const CollectiveRows &what, const NcclGroup &group) {
  const uint64_t words = static_cast<uint64_t>(what.rows) * what.rowBytes / wordBytes;
  const auto members = static_cast<uint64_t>(group.members());
  return (words + members - 1) / members;
}

// A sum of fewer rows may have shares that are not whole.
Result<void> NcclExchange::prepare(const CollectiveRows &largest) {
  Meeting &meeting = meetings.at(largest.over);
  const auto members = static_cast<uint64_t>(meeting.group->members());
  const bool isSum = largest.kind == plan::Collective::all_reduce;
  const uint64_t bytes = isSum ? shareOf(largest, *meeting.group) * wordBytes
                               : static_cast<uint64_t>(largest.rows) * largest.rowBytes;
  const bool isWhole = largest.rowBytes / wordBytes % members == 0;
  return describe(largest)
      .and_then([&] { return grow(meeting.parts, bytes * members); })
      .and_then([&] { return grow(meeting.sums, isSum && !isWhole ? bytes * members : 0); });
}

Result<void> NcclExchange::merge(const CollectiveRows &what, const Meeting &meeting,
                                 std::byte *target) {
  const std::array<const void *, 3> operands = {meeting.parts->data(), target,
                                                forms.at(formOf(what))->data()};
  return device.launch({mergeKernel, operands}, 0);
}

Result<void> NcclExchange::gather(const CollectiveRows &what, const Meeting &meeting,
                                  nccl::Stream stream) {
  const size_t bytes = static_cast<size_t>(what.rows) * what.rowBytes;
  if (what.rows == 1) // the parts lie in order already
    return meeting.group->allGather(what.source, what.target, bytes, stream);
  return meeting.group->allGather(what.source, meeting.parts->data(), bytes, stream).and_then([&] {
    return merge(what, meeting, what.target);
  });
}

// Each member adds a share for all, and all get the sums: so much goes from each as in a
// ring. Shares are as long as each other, but for the last ones of messages whose words do
// not fit; their sums are gathered aside.
Result<void> NcclExchange::sum(const CollectiveRows &what, const Meeting &meeting,
                               nccl::Stream stream) {
  NcclGroup &group = *meeting.group;
  const size_t bytes = static_cast<size_t>(what.rows) * what.rowBytes;
  const size_t share = shareOf(what, group) * wordBytes;
  const auto members = static_cast<size_t>(group.members());
  const auto beginOf = [&](size_t member) { return std::min(member * share, bytes); };
  const auto lengthOf = [&](size_t member) { return beginOf(member + 1) - beginOf(member); };
  const auto index = static_cast<size_t>(group.index());
  std::array<NcclGroup::Part, grokMergeMembers> sent, received;
  for (size_t member = 0; member < members; ++member) {
    sent[member] = {what.source + beginOf(member), lengthOf(member)};
    received[member] = {meeting.parts->data() + member * share, lengthOf(index)};
  }
  const bool isWhole = share * members == bytes;
  std::byte *sums = isWhole ? what.target : meeting.sums->data();
  return group.exchange(std::span(sent).first(members), std::span(received).first(members), stream)
      .and_then([&] { return merge(what, meeting, sums); })
      .and_then([&] { return group.allGather(sums + index * share, sums, share, stream); })
      .and_then([&] {
        return isWhole ? Result<void>() : device.queue()->copy(what.target, sums, bytes);
      });
}

Result<void> NcclExchange::run(const CollectiveRows &what, const char *operation) {
  const Meeting &meeting = meetings.at(what.over);
  const bool isSum = what.kind == plan::Collective::all_reduce;
  auto stream = device.queue()->enter();
  if (!stream)
    return fail(stream.error());
  ++issued;
  operations[issued % operations.size()] = {operation, what.over, isSum};
  return (isSum ? sum(what, meeting, *stream) : gather(what, meeting, *stream)).and_then([&] {
    return device.queue()->tellHost(reinterpret_cast<uint32_t *>(finished->data()), issued);
  });
}

// NCCL says nothing of those who do not come: the clock counts from the end of the one
// before.
Result<void> NcclExchange::look() {
  const uint32_t ended = *reinterpret_cast<volatile uint32_t *>(finished->data());
  Result<void> going;
  for (auto &[over, meeting] : meetings)
    going = going.and_then([&] { return meeting.group->check(); });
  if (going && ended != issued)
    going = lookAt(ended + 1);
  else
    wait.reset();
  if (!going)
    abort();
  return going;
}

// The first that has not ended.
Result<void> NcclExchange::lookAt(uint32_t number) {
  const Operation &first = operations[number % operations.size()];
  NcclGroup &group = *meetings.at(first.over).group;
  if (!wait || waitingIn != number) {
    Communicator &communicator = links.communicator();
    communicator.setOperation(first.name);
    wait.reset();
    wait.emplace(communicator.waitRules(), first.isSum ? "all_reduce" : "all_gather",
                 group.nextRank(), first.kind);
    waitingIn = number;
  }
  if (links.communicator().waitRules().spin.count() == 0)
    std::this_thread::sleep_for(lookEvery);
  return wait->check();
}

} // namespace grok::runtime
