// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NCCL without GPUs, for ranks that are processes or threads with the fake driver: a part of
// libfake-cuda.so, whose streams it adds to. Messages go through a file that ranks map, when
// the stream gets there. It is stricter than NCCL: what would hang there, or give wrong
// data, is an error here.
//
// Environment, read when it happens:
//   FAKE_NCCL_FAIL=WHAT  version, driver, connect, error=N or hang=N: from the N-th work of a group
//   on
// NOLINTBEGIN(readability-identifier-naming): entry points keep NCCL's names
#include "runtime/collectives/nccl/NcclLibrary.h"
#include "tests/runtime/device/cuda/FakeCuda.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

namespace grok::runtime::nccl {

constexpr int unhandledCudaError = 1;

static constexpr size_t slotBytes = size_t(1) << 16;

namespace {

/// A piece of a message from one rank to another.
struct Slot {
  std::atomic<uint32_t> isFull;
  uint32_t isGather;
  uint64_t work; // number of the sender's, of this communicator
  uint64_t total, bytes;
  std::array<std::byte, slotBytes> data;
};

/// What the ranks share; zero at first. Slots follow, [sender][receiver].
struct Board {
  std::atomic<int32_t> ranks, joined, failed;
  Slot &slot(int sender, int receiver) {
    return reinterpret_cast<Slot *>(this + 1)[sender * ranks + receiver];
  }
  static size_t bytesFor(int ranks) {
    return sizeof(Board) + static_cast<size_t>(ranks * ranks) * sizeof(Slot);
  }
};

/// Where a board is: an open file of a process.
struct Place {
  pid_t process;
  int file;
};

struct Transfer {
  int peer;
  std::byte *data;
  size_t bytes;
  bool isSend;
  size_t done = 0; // bytes
  bool isTaken = false;
};

/// What goes into a stream as one.
struct Work {
  std::vector<Transfer> transfers;
  cuda::Stream stream = nullptr;
  bool isGather = false;
};

struct Member {
  Board *board = nullptr;
  int rank = 0;
  int timesInProgress = 2; // to be answered before it is
  bool isFinalized = false;
  std::optional<Work> issued; // goes into the stream when it was asked for
  uint64_t works = 0;
  std::atomic<int> result = success;
  std::atomic<bool> isAborted = false;
  std::string lastError;
};

} // namespace

// Of this thread: calls between ncclGroupStart and ncclGroupEnd.
static thread_local int depth = 0;
static thread_local Member *grouped = nullptr;
static thread_local Work group;

static std::string failureAsked() {
  const char *text = std::getenv("FAKE_NCCL_FAIL");
  return text ? text : "";
}

static bool isAsked(const char *what, uint64_t work) {
  const std::string asked = failureAsked(), key = std::string(what) + "=";
  return asked.starts_with(key) && work >= std::strtoull(asked.c_str() + key.size(), nullptr, 10);
}

static int failed(Member &member, int code, const std::string &why) {
  member.lastError = why;
  member.result = code;
  member.board->failed = 1;
  return code;
}

// ---- in the stream

/// Whether something moved.
static bool advanceSend(Member &member, Transfer &send, bool isGather, uint64_t work) {
  Slot &slot = member.board->slot(member.rank, send.peer);
  if (slot.isFull.load(std::memory_order_acquire) != 0)
    return false;
  if (send.done == send.bytes) {
    send.isTaken = true;
    return true;
  }
  slot.isGather = isGather;
  slot.work = work;
  slot.total = send.bytes;
  slot.bytes = std::min(slotBytes, send.bytes - send.done);
  std::memcpy(slot.data.data(), send.data + send.done, slot.bytes);
  send.done += slot.bytes;
  slot.isFull.store(1, std::memory_order_release);
  return true;
}

static bool advanceReceive(Member &member, Transfer &receive, bool isGather, uint64_t work) {
  Slot &slot = member.board->slot(receive.peer, member.rank);
  if (slot.isFull.load(std::memory_order_acquire) == 0)
    return false;
  if (slot.total != receive.bytes || slot.isGather != static_cast<uint32_t>(isGather) ||
      slot.work != work) {
    failed(member, invalidUsage,
           "rank " + std::to_string(receive.peer) + " sends " + std::to_string(slot.total) +
               " bytes in its work " + std::to_string(slot.work) + ", rank " +
               std::to_string(member.rank) + " expects " + std::to_string(receive.bytes) +
               " in its work " + std::to_string(work));
    return false;
  }
  std::memcpy(receive.data + receive.done, slot.data.data(), slot.bytes);
  receive.done += slot.bytes;
  receive.isTaken = receive.done == receive.bytes;
  slot.isFull.store(0, std::memory_order_release);
  return true;
}

static bool isOver(const Member &member) {
  return member.isAborted || member.result != success || member.board->failed != 0;
}

static int run(Member &member, Work work, uint64_t number) {
  ++cuda::fake().calls["NCCL"];
  if (isAsked("error", number))
    failed(member, remoteError, "a peer has closed its connection\nas asked");
  const bool hangs = isAsked("hang", number);
  bool isDone = false;
  while (!isOver(member) && (!isDone || hangs)) {
    bool moved = false;
    isDone = true;
    for (Transfer &transfer : work.transfers) {
      if (!transfer.isTaken && !hangs)
        moved |= transfer.isSend ? advanceSend(member, transfer, work.isGather, number)
                                 : advanceReceive(member, transfer, work.isGather, number);
      isDone &= transfer.isTaken;
    }
    if (!moved)
      cuda::letOthersWork();
  }
  if (member.board->failed != 0 && member.result == success)
    member.result = remoteError;
  return success; // of the stream: it goes on with whatever there is
}

// ---- calls

/// Whether the communicator takes a call: not while it is busy with the one before.
static bool isReady(const Member *member) {
  return member && member->timesInProgress == 0 && !member->isAborted && !member->isFinalized &&
         member->result == success;
}

/// Memory of a message, one place to be read or written once.
static bool isValid(const Member &member, const void *data, size_t count, int type, int peer,
                    cuda::Stream stream) {
  const std::lock_guard lock(cuda::fake().mutex);
  return type == typeInt8 && count > 0 && peer >= 0 && peer < member.board->ranks &&
         cuda::isOnDevice(reinterpret_cast<cuda::Address>(data), count) && cuda::isStream(stream) &&
         cuda::holdsContext();
}

static int issue(Member &member, Work work) {
  member.issued = std::move(work);
  member.timesInProgress = 1;
  return inProgress;
}

/// Into the open group, of one communicator and one stream.
static int add(Comm comm, void *data, size_t count, int type, int peer, Stream stream,
               bool isSend) {
  auto *member = static_cast<Member *>(comm);
  auto *queue = static_cast<cuda::Stream>(stream);
  if (!isReady(member) || (grouped && grouped != member) ||
      (group.stream && group.stream != queue) || !isValid(*member, data, count, type, peer, queue))
    return invalidArgument;
  if (depth == 0) // alone, a message to oneself or two that cross would hang
    return invalidUsage;
  for (const Transfer &other : group.transfers)
    if (other.peer == peer && other.isSend == isSend)
      return invalidUsage;
  grouped = member;
  group.stream = queue;
  group.transfers.push_back({peer, static_cast<std::byte *>(data), count, isSend});
  return success;
}

static Board *open(const UniqueId &id, int ranks) {
  Place place;
  std::memcpy(&place, id.bytes.data(), sizeof place);
  const std::string path =
      "/proc/" + std::to_string(place.process) + "/fd/" + std::to_string(place.file);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  const size_t bytes = Board::bytesFor(ranks);
  void *mapped = file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0
                     ? MAP_FAILED
                     : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file >= 0)
    close(file);
  auto *board = mapped == MAP_FAILED ? nullptr : static_cast<Board *>(mapped);
  int32_t none = 0;
  if (board && !board->ranks.compare_exchange_strong(none, ranks) && none != ranks)
    return nullptr;
  return board;
}

} // namespace grok::runtime::nccl

using namespace grok::runtime::nccl;

extern "C" {

int ncclGetVersion(int *version) {
  *version = failureAsked() == "version" ? 21000 : 22304;
  return success;
}

int ncclGetUniqueId(UniqueId *id) {
  const Place place = {getpid(), memfd_create("NCCL", MFD_CLOEXEC)};
  std::memcpy(id->bytes.data(), &place, sizeof place);
  return place.file < 0 ? systemError : success;
}

int ncclCommInitRankConfig(Comm *comm, int ranks, UniqueId id, int rank, Config *config) {
  if (config->size != 40 || config->magic != 0xcafebeef || config->blocking != 0 || rank < 0 ||
      rank >= ranks)
    return invalidArgument;
  auto *member = new Member;
  *comm = member; // for the whole process
  member->rank = rank;
  member->board = grok::runtime::nccl::open(id, ranks);
  if (!member->board)
    return systemError;
  ++member->board->joined;
  if (failureAsked() == "driver")
    failed(*member, unhandledCudaError, "too old a driver");
  if (failureAsked() == "connect" && ranks > 1)
    failed(*member, systemError, "no interface to connect with");
  return inProgress;
}

int ncclCommGetAsyncError(Comm comm, int *error) {
  auto &member = *static_cast<Member *>(comm);
  const bool isWaiting =
      member.timesInProgress > 1 && member.board->joined < member.board->ranks && !isOver(member);
  if (!isWaiting && member.timesInProgress > 0)
    --member.timesInProgress;
  if (member.timesInProgress == 0 && member.issued) {
    Work work = std::move(*member.issued);
    member.issued.reset();
    const uint64_t number = ++member.works;
    const grok::runtime::cuda::Stream stream = work.stream;
    grok::runtime::cuda::addWork(
        stream, [&member, work = std::move(work), number] { return run(member, work, number); });
  }
  if (member.board->failed != 0 && member.result == success)
    member.result = remoteError;
  *error = member.result != success     ? member.result.load()
           : member.timesInProgress > 0 ? inProgress
                                        : success;
  return success;
}

int ncclGroupStart() {
  ++depth;
  return success;
}

int ncclGroupEnd() {
  if (depth == 0)
    return invalidUsage;
  if (--depth > 0)
    return success;
  Member *member = std::exchange(grouped, nullptr);
  Work work = std::exchange(group, Work());
  return member ? issue(*member, std::move(work)) : success;
}

int ncclSend(const void *from, size_t count, int type, int peer, Comm comm, Stream stream) {
  return add(comm, const_cast<void *>(from), count, type, peer, stream, true);
}

int ncclRecv(void *to, size_t count, int type, int peer, Comm comm, Stream stream) {
  return add(comm, to, count, type, peer, stream, false);
}

int ncclAllGather(const void *own, void *all, size_t count, int type, Comm comm, Stream stream) {
  auto *member = static_cast<Member *>(comm);
  auto *queue = static_cast<grok::runtime::cuda::Stream>(stream);
  if (!isReady(member) || depth > 0)
    return invalidArgument;
  const auto ranks = static_cast<size_t>(member->board->ranks);
  const auto *from = static_cast<const std::byte *>(own);
  auto *to = static_cast<std::byte *>(all);
  const auto *place = to + static_cast<size_t>(member->rank) * count;
  const bool overlaps = from < to + ranks * count && to < from + count;
  if (!isValid(*member, own, count, type, 0, queue) ||
      !isValid(*member, all, ranks * count, type, 0, queue) || (overlaps && from != place))
    return invalidArgument;
  Work work{{}, queue, true};
  for (size_t peer = 0; peer < ranks; ++peer) {
    work.transfers.push_back({static_cast<int>(peer), const_cast<std::byte *>(from), count, true});
    work.transfers.push_back({static_cast<int>(peer), to + peer * count, count, false});
  }
  return issue(*member, std::move(work));
}

int ncclCommAbort(Comm comm) {
  static_cast<Member *>(comm)->isAborted = true;
  return success;
}

int ncclCommFinalize(Comm comm) {
  auto *member = static_cast<Member *>(comm);
  if (!isReady(member))
    return invalidArgument;
  member->isFinalized = true;
  member->timesInProgress = 1;
  return inProgress;
}

int ncclCommDestroy(Comm comm) {
  auto *member = static_cast<Member *>(comm);
  return member->isFinalized && member->timesInProgress == 0 ? success : invalidUsage;
}

const char *ncclGetErrorString(int error) {
  switch (error) {
  case unhandledCudaError:
    return "unhandled cuda error";
  case systemError:
    return "unhandled system error";
  case invalidArgument:
    return "invalid argument";
  case invalidUsage:
    return "invalid usage";
  case remoteError:
    return "remote process exited or there was a network error";
  default:
    return "unknown result code";
  }
}

const char *ncclGetLastError(Comm comm) {
  return comm ? static_cast<Member *>(comm)->lastError.c_str() : "";
}
}
// NOLINTEND(readability-identifier-naming)
