// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/nccl/NcclGroup.h"

namespace grok::runtime {

NcclGroup::NcclGroup(std::vector<int> members, int index, WaitRules &rules, DeviceQueue &queue,
                     const nccl::Functions &functions)
    : Group(std::move(members), index), rules(rules), queue(queue), functions(functions) {}

Result<std::unique_ptr<NcclGroup>> NcclGroup::create(std::span<const int> members,
                                                     Communicator &host, DeviceQueue &queue,
                                                     const nccl::Functions &functions) {
  auto index = host.checkMembers(members);
  if (!index)
    return fail(index.error());
  nccl::UniqueId id;
  if (*index == 0) {
    if (const int code = functions.getUniqueId(&id); code != nccl::success)
      return fail("NCCL gives no id: ", functions.errorText(code));
    for (const int member : members.subspan(1))
      if (auto sent = host.send(member, &id, sizeof(id)); !sent)
        return fail(sent.error());
  } else if (auto got = host.receive(members[0], &id, sizeof(id)); !got) {
    return fail(got.error());
  }
  std::vector<int> ranksOfMembers(members.begin(), members.end());
  std::unique_ptr<NcclGroup> group(
      new NcclGroup(std::move(ranksOfMembers), *index, host.waitRules(), queue, functions));
  if (auto connected = group->connect(id); !connected)
    return fail(connected.error());
  return group;
}

// After a failure the others cannot take part in a proper end, and even aborting
// may hang: the process is about to leave by _exit, see runtime/ranks.
NcclGroup::~NcclGroup() {
  if (staging)
    queue.release(staging);
  if (!comm || failed || rules.abort->raised())
    return;
  if (settle("end", functions.finalize(comm)))
    functions.destroy(comm);
}

Result<void> NcclGroup::connect(const nccl::UniqueId &id) {
  nccl::Config config;
  return settle("connect", functions.initRank(&comm, members(), id, index(), &config));
}

// NCCL does not say for whom it waits: the member after us stands for them.
int NcclGroup::nextRank() const { return rankOf((index() + 1) % members()); }

// Calls of a non-blocking communicator are done when its state says so.
Result<void> NcclGroup::settle(const char *collective, int code) {
  Wait wait(rules, collective, nextRank());
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
  if (code == nccl::success)
    return {};
  failed = true;
  rules.peerFailed = true;
  return fail("NCCL: ", functions.errorText(code), ", in ", collective, " of \"",
              rules.activity.operation.load(std::memory_order_relaxed), "\"");
}

Result<void> NcclGroup::gather(const char *collective, const void *own, void *all, size_t bytes) {
  rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
  return settle(collective,
                functions.allGather(own, all, bytes, nccl::typeInt8, comm, queue.stream()));
}

// Growing waits for the queue: what it holds may still read the old memory.
Result<void> NcclGroup::stage(size_t bytes) {
  if (bytes <= stagingBytes)
    return {};
  if (auto idle = wait(); !idle)
    return idle;
  if (staging)
    queue.release(staging);
  staging = nullptr;
  stagingBytes = 0;
  auto memory = queue.allocate(bytes);
  if (!memory)
    return fail(memory.error());
  staging = *memory;
  stagingBytes = bytes;
  return {};
}

Result<void> NcclGroup::allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) {
  const size_t bytes = static_cast<size_t>(rows) * rowBytes;
  if (bytes == 0)
    return {};
  if (rows == 1) // the parts lie in order already
    return gather("all_gather", own, all, bytes);
  if (auto staged = stage(bytes * static_cast<size_t>(members())); !staged)
    return staged;
  if (auto done = gather("all_gather", own, staging, bytes); !done)
    return done;
  for (size_t member = 0; member < static_cast<size_t>(members()); ++member) {
    auto copied = queue.copyRows(static_cast<std::byte *>(all) + member * rowBytes,
                                 rowBytes * static_cast<size_t>(members()),
                                 static_cast<std::byte *>(staging) + member * bytes, rowBytes, rows,
                                 rowBytes);
    if (!copied)
      return copied;
  }
  return {};
}

Result<void> NcclGroup::allReduceRows(const float *own, float *sum, int64_t rows, int64_t columns) {
  const int64_t count = rows * columns;
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  if (bytes == 0)
    return {};
  if (auto staged = stage(bytes * static_cast<size_t>(members())); !staged)
    return staged;
  if (auto done = gather("all_reduce", own, staging, bytes); !done)
    return done;
  return queue.treeSum(static_cast<const float *>(staging), members(), sum, count);
}

Result<void> NcclGroup::wait() {
  Wait wait(rules, "wait for the device", nextRank());
  for (;;) {
    int state = nccl::success;
    functions.getAsyncError(comm, &state);
    if (auto settled = settle("wait for the device", state); !settled)
      return settled;
    auto idle = queue.isIdle();
    if (!idle)
      return fail(idle.error());
    if (*idle)
      return {};
    if (wait.spin())
      continue;
    if (auto going = wait.check(); !going) {
      failed = true;
      return going;
    }
    wait.nap();
  }
}

} // namespace grok::runtime
