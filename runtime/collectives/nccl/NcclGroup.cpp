// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/nccl/NcclGroup.h"
#include <future>
#include <thread>

namespace grok::runtime {

// Aborting takes some milliseconds, or never ends.
static constexpr std::chrono::seconds longestAborting{2};

Result<std::unique_ptr<NcclGroup>> NcclGroup::create(const Group &group, Communicator &host,
                                                     const nccl::Functions &functions) {
  std::vector<int> members;
  for (int member = 0; member < group.members(); ++member)
    members.push_back(group.rankOf(member));
  std::unique_ptr<NcclGroup> made(
      new NcclGroup(std::move(members), group.index(), host.waitRules(), functions));
  nccl::UniqueId id;
  if (group.index() == 0) {
    if (const int code = functions.getUniqueId(&id); code != nccl::success)
      return fail("NCCL gives no id: ", functions.errorText(code));
    for (int member = 1; member < group.members(); ++member)
      if (auto sent = host.send(group.rankOf(member), &id, sizeof(id)); !sent)
        return fail(sent.error());
  } else if (auto got = host.receive(group.rankOf(0), &id, sizeof(id)); !got) {
    return fail(got.error());
  }
  if (auto connected = made->connect(id); !connected)
    return fail(connected.error());
  return made;
}

Result<void> NcclGroup::probe(Communicator &host, const nccl::Functions &functions) {
  NcclGroup alone({host.rank()}, 0, host.waitRules(), functions);
  nccl::UniqueId id;
  if (const int code = functions.getUniqueId(&id); code != nccl::success)
    return fail("NCCL gives no id: ", functions.errorText(code));
  auto connected = alone.connect(id);
  if (!connected) // no other rank's fault
    host.waitRules().peerFailed = false;
  return connected;
}

// After a failure the others cannot take part in a proper end.
NcclGroup::~NcclGroup() {
  if (!comm || aborted)
    return;
  if (failed || rules.abort->raised())
    abort();
  else if (settle("end", functions.finalize(comm)))
    functions.destroy(comm);
}

// Takes seconds, of which no deadline knows; whether all live is the monitor's matter.
Result<void> NcclGroup::connect(const nccl::UniqueId &id) {
  nccl::Config config;
  return settle("connect", functions.initRank(&comm, members(), id, index(), &config),
                Wait::Kind::idle);
}

// An aborted communicator is freed memory.
Result<void> NcclGroup::checkUsable() const {
  return aborted ? fail("NCCL: was ended after an error") : Result<void>();
}

static std::string firstLine(const char *text) {
  const std::string_view all = text ? text : "";
  return std::string(all.substr(0, all.find('\n')));
}

Result<void> NcclGroup::failure(const char *collective, int code) {
  failed = true;
  // Else the fault is ours, and starting again would not mend it.
  if (code == nccl::remoteError || code == nccl::systemError || code == nccl::internalError)
    rules.peerFailed = true;
  const std::string last = firstLine(functions.lastError(comm));
  return fail("NCCL: ", functions.errorText(code), last.empty() ? "" : " (" + last + ")", ", in ",
              collective, " of \"", rules.activity.operation.load(std::memory_order_relaxed), "\"");
}

// Calls of a non-blocking communicator are done when its state says so: then the work is in
// the stream, but hardly done.
Result<void> NcclGroup::settle(const char *collective, int code, Wait::Kind kind) {
  if (code == nccl::success)
    return {};
  Wait wait(rules, collective, nextRank(), kind);
  while (code == nccl::inProgress) {
    if (const int asked = functions.getAsyncError(comm, &code); asked != nccl::success)
      code = asked;
    if (code != nccl::inProgress || wait.spin())
      continue;
    if (auto going = wait.check(); !going) {
      failed = true;
      return going;
    }
    wait.nap();
  }
  return code == nccl::success ? Result<void>() : failure(collective, code);
}

Result<void> NcclGroup::exchange(std::span<const Part> sent, std::span<const Part> received,
                                 nccl::Stream stream) {
  if (auto usable = checkUsable(); !usable)
    return usable;
  rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
  int code = functions.groupStart();
  // Inside of a group a call is in progress until the group is.
  const auto goesOn = [&] { return code == nccl::success || code == nccl::inProgress; };
  for (int member = 0; member < members(); ++member) {
    const Part &to = sent[static_cast<size_t>(member)];
    const Part &from = received[static_cast<size_t>(member)];
    if (goesOn() && to.bytes > 0)
      code = functions.send(to.data, to.bytes, nccl::typeInt8, member, comm, stream);
    if (goesOn() && from.bytes > 0)
      code = functions.receive(from.data, from.bytes, nccl::typeInt8, member, comm, stream);
  }
  const int ended = functions.groupEnd();
  return settle("all_reduce", goesOn() ? ended : code);
}

Result<void> NcclGroup::allGather(const void *ownPart, void *all, size_t bytes,
                                  nccl::Stream stream) {
  if (auto usable = checkUsable(); !usable)
    return usable;
  rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
  return settle("all_gather",
                functions.allGather(ownPart, all, bytes, nccl::typeInt8, comm, stream));
}

Result<void> NcclGroup::check() {
  if (auto usable = checkUsable(); !usable)
    return usable;
  int code = nccl::success;
  if (const int asked = functions.getAsyncError(comm, &code); asked != nccl::success)
    code = asked;
  return code == nccl::success || code == nccl::inProgress ? Result<void>()
                                                           : failure("a collective", code);
}

// By a thread of its own, since it may hang: the process then leaves by _exit, see
// runtime/ranks.
void NcclGroup::abort() {
  if (!comm || std::exchange(aborted, true))
    return;
  failed = true;
  std::packaged_task<int()> task([end = functions.abort, comm = comm] { return end(comm); });
  auto ended = task.get_future();
  std::thread(std::move(task)).detach();
  ended.wait_for(longestAborting);
}

} // namespace grok::runtime
