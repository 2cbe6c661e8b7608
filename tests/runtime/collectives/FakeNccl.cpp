// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/runtime/collectives/FakeNccl.h"
#include "runtime/collectives/TreeSum.h"
#include <barrier>
#include <cstdlib>
#include <cstring>
#include <map>

namespace grok::runtime {

namespace {

// The members of one id.
struct Meeting {
  explicit Meeting(int members) : everyone(members), own(static_cast<size_t>(members)) {}
  std::barrier<> everyone;
  std::vector<const void *> own;
};

struct Member {
  std::shared_ptr<Meeting> meeting;
  int rank;
  int timesInProgress = 2; // still to be answered
  int result = nccl::success;
};

std::mutex mutex;
std::map<int, std::weak_ptr<Meeting>> meetings;
std::vector<std::unique_ptr<Member>> members; // some tests never end theirs
int lastId = 0;
std::atomic<FakeFailure> failure = FakeFailure::none;

int getVersion(int *version) {
  *version = 21700;
  return nccl::success;
}

int getUniqueId(nccl::UniqueId *id) {
  const std::lock_guard lock(mutex);
  ++lastId;
  std::memcpy(id->bytes.data(), &lastId, sizeof(lastId));
  return nccl::success;
}

int initRank(nccl::Comm *comm, int ranks, nccl::UniqueId id, int rank, nccl::Config *config) {
  if (config->size != 40 || config->magic != 0xcafebeef || config->blocking != 0)
    return 4; // ncclInvalidArgument
  int number = 0;
  std::memcpy(&number, id.bytes.data(), sizeof(number));
  const std::lock_guard lock(mutex);
  auto meeting = meetings[number].lock();
  if (!meeting)
    meetings[number] = meeting = std::make_shared<Meeting>(ranks);
  members.push_back(std::make_unique<Member>(Member{meeting, rank}));
  *comm = members.back().get();
  return nccl::inProgress;
}

int getAsyncError(nccl::Comm comm, int *error) {
  auto *member = static_cast<Member *>(comm);
  *error = member->timesInProgress > 0 ? nccl::inProgress : member->result;
  --member->timesInProgress;
  return nccl::success;
}

int allGather(const void *own, void *all, size_t count, int /*type*/, nccl::Comm comm,
              nccl::Stream /*stream*/) {
  auto *member = static_cast<Member *>(comm);
  if (failure != FakeFailure::none) {
    member->timesInProgress = failure == FakeFailure::hang ? 1 << 30 : 1;
    member->result = 6; // ncclRemoteError
    return nccl::inProgress;
  }
  Meeting &meeting = *member->meeting;
  meeting.own[static_cast<size_t>(member->rank)] = own;
  meeting.everyone.arrive_and_wait();
  for (size_t rank = 0; rank < meeting.own.size(); ++rank)
    std::memcpy(static_cast<char *>(all) + rank * count, meeting.own[rank], count);
  meeting.everyone.arrive_and_wait();
  member->timesInProgress = 1;
  return nccl::inProgress;
}

int end(nccl::Comm /*comm*/) { return nccl::success; }

const char *errorText(int error) { return error == 6 ? "remote error" : "invalid argument"; }

class HostQueue : public DeviceQueue {
public:
  nccl::Stream stream() override { return nullptr; }
  Result<void *> allocate(size_t bytes) override { return std::malloc(bytes); }
  void release(void *memory) override { std::free(memory); }
  Result<void> copyRows(void *to, size_t toStride, const void *from, size_t fromStride,
                        int64_t rows, size_t bytes) override {
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row)
      std::memcpy(static_cast<char *>(to) + row * toStride,
                  static_cast<const char *>(from) + row * fromStride, bytes);
    return {};
  }
  Result<void> treeSum(const float *parts, int numParts, float *sum, int64_t count) override {
    std::vector<const float *> pointers;
    pointers.reserve(static_cast<size_t>(numParts));
    for (int part = 0; part < numParts; ++part)
      pointers.push_back(parts + part * count);
    grok::runtime::treeSum(pointers, sum, count);
    return {};
  }
  Result<bool> isIdle() override { return true; }
};

} // namespace

const nccl::Functions &fakeNccl() {
  static const nccl::Functions functions = {
      getVersion, getUniqueId, initRank, getAsyncError, allGather, end, end, end, errorText};
  return functions;
}

void setFakeFailure(FakeFailure next) { failure = next; }

std::unique_ptr<DeviceQueue> makeHostQueue() { return std::make_unique<HostQueue>(); }

} // namespace grok::runtime
