// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Devices, memory, streams and events.
// NOLINTBEGIN(readability-identifier-naming): entry points keep the driver's names
// NOLINTBEGIN(performance-no-int-to-ptr): the driver's addresses are numbers
#include "tests/runtime/device/cuda/FakeCuda.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace grok::runtime::cuda {

struct ContextObject {
  int retained = 0;
};

static std::map<int, ContextObject> contexts; // by device
static thread_local ContextObject *current = nullptr;

FakeState &fake() {
  static FakeState state;
  return state;
}

bool holdsContext() { return current && current->retained > 0; }

static void protectAll(int protection) {
  for (const auto &[address, bytes] : fake().allocations)
    mprotect(reinterpret_cast<void *>(address), bytes, protection);
}

OpenMemory::OpenMemory() {
  if (fake().openings++ == 0)
    protectAll(PROT_READ | PROT_WRITE);
}
OpenMemory::~OpenMemory() {
  if (--fake().openings == 0)
    protectAll(PROT_NONE);
}

// Of memory that comes now.
static int protectionNow() { return fake().openings > 0 ? PROT_READ | PROT_WRITE : PROT_NONE; }

int drain(StreamObject &stream) {
  while (stream.isDraining)
    letOthersWork();
  stream.isDraining = true;
  const OpenMemory open;
  for (const auto &work : std::exchange(stream.queue, {}))
    if (fake().stickyError == success)
      fake().stickyError = work();
  stream.isDraining = false;
  return fake().stickyError;
}

/// Of this thread's context.
static int drainAll() {
  const std::vector<StreamObject *> streams = fake().streams;
  for (StreamObject *stream : streams)
    if (stream->context == current)
      drain(*stream);
  return fake().stickyError;
}

static std::string setting(const char *name, const char *otherwise) {
  const char *value = std::getenv(name);
  return value ? value : otherwise;
}

static int number(const std::string &text) {
  return static_cast<int>(std::strtol(text.c_str(), nullptr, 10));
}

bool isOnDevice(Address address, uint64_t bytes) {
  auto after = fake().allocations.upper_bound(address);
  if (after == fake().allocations.begin())
    return false;
  const auto &[begin, size] = *std::prev(after);
  return address + bytes <= begin + size;
}

static bool isPinned(const void *address) {
  const auto *place = static_cast<const std::byte *>(address);
  auto after = fake().pinned.upper_bound(place);
  return after != fake().pinned.begin() &&
         place < std::prev(after)->first + std::prev(after)->second;
}

namespace {

/// What is in a handle: an open file of a process.
struct SharedFile {
  pid_t process;
  int file;
  uint64_t bytes;
};

} // namespace

bool isStream(Stream stream) {
  const auto &all = fake().streams;
  return std::find(all.begin(), all.end(), stream) != all.end();
}

void addWork(Stream stream, std::function<int()> work) {
  const std::lock_guard lock(fake().mutex);
  stream->queue.push_back(std::move(work));
}

void letOthersWork() {
  fake().mutex.unlock();
  usleep(50);
  fake().mutex.lock();
}

static int enqueue(Stream stream, std::function<int()> work) {
  stream->queue.push_back(std::move(work));
  return success;
}

} // namespace grok::runtime::cuda

using namespace grok::runtime::cuda;

static int enterFor(const char *function, Address address, size_t bytes) {
  const int status = enterCall(function);
  return status != success || isOnDevice(address, bytes) ? status : invalidValue;
}

#define LOCKED const std::lock_guard lock(fake().mutex)
#define ENTER(function)                                                                            \
  LOCKED;                                                                                          \
  if (const int status = enterCall(function); status != success)                                   \
  return status
#define ENTER_TO_FREE                                                                              \
  LOCKED;                                                                                          \
  if (const int status = enterToFree(); status != success)                                         \
  return status

extern "C" {

int cuDriverGetVersion(int *version) {
  *version = number(setting("FAKE_CUDA_VERSION", "12040"));
  return success;
}

int cuInit(unsigned) {
  LOCKED;
  FakeState &state = fake();
  state.failure = setting("FAKE_CUDA_FAIL", "");
  state.devices = number(setting("FAKE_CUDA_DEVICES", "1"));
  state.memory = std::strtoull(setting("FAKE_CUDA_MEMORY", "1073741824").c_str(), nullptr, 10);
  const std::string capability = setting("FAKE_CUDA_CAPABILITY", "8.0");
  state.major = number(capability);
  state.minor = number(capability.substr(capability.find('.') + 1));
  state.stickyError = success;
  state.failingCall = state.failure.starts_with("call=") ? number(state.failure.substr(5)) : 0;
  state.callsThatMayFail = 0;
  state.calls.clear();
  tellCountsAtExit();
  if (state.failure == "init")
    return 999; // CUDA_ERROR_UNKNOWN
  return state.devices == 0 ? noDevice : loadTranslations();
}

int cuGetErrorName(int error, const char **text) {
  switch (error) {
  case outOfMemory:
    *text = "CUDA_ERROR_OUT_OF_MEMORY";
    return success;
  case invalidImage:
    *text = "CUDA_ERROR_INVALID_IMAGE";
    return success;
  case launchFailed:
    *text = "CUDA_ERROR_LAUNCH_FAILED";
    return success;
  case 999:
    *text = "CUDA_ERROR_UNKNOWN";
    return success;
  default:
    return invalidValue;
  }
}

int cuGetErrorString(int error, const char **text) {
  *text = error == launchFailed ? fake().errorText.c_str() : "fake";
  return success;
}

int cuDeviceGetCount(int *count) {
  LOCKED;
  *count = fake().devices;
  return success;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return success;
}

int cuDeviceGetName(char *name, int capacity, int) {
  std::strncpy(name, "Fake GPU", static_cast<size_t>(capacity));
  return success;
}

int cuDeviceGetPCIBusId(char *id, int capacity, int device) {
  std::snprintf(id, static_cast<size_t>(capacity), "0000:0%d:00.0", device + 1);
  return success;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
  LOCKED;
  const std::map<int, int> values = {{multiprocessorCount, fakeMultiprocessors},
                                     {cooperativeLaunch, 1},
                                     {capabilityMajor, fake().major},
                                     {capabilityMinor, fake().minor},
                                     {sharedBytesOptIn, (fake().major < 9 ? 163 : 227) * 1024}};
  auto found = values.find(attribute);
  if (found == values.end())
    return invalidValue;
  *value = found->second;
  return success;
}

int cuDevicePrimaryCtxRetain(Context *retained, int device) {
  LOCKED;
  ++contexts[device].retained;
  ++fake().living;
  *retained = &contexts[device];
  return success;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  LOCKED;
  if (--contexts[device].retained == 0) // ends what it has
    for (const auto &[address, file] : fake().files)
      refuseToFreeImported(address);
  --fake().living;
  return success;
}

int cuCtxSetCurrent(Context wanted) {
  current = wanted;
  return success;
}

int cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER("cuMemGetInfo");
  *free = fake().memory - fake().used;
  *total = fake().memory;
  return success;
}

int cuMemAlloc_v2(Address *address, size_t bytes) {
  ENTER("cuMemAlloc");
  if (bytes == 0)
    return invalidValue;
  if (fake().used + bytes > fake().memory)
    return outOfMemory;
  const int file = memfd_create("device memory", MFD_CLOEXEC);
  void *place = ftruncate(file, static_cast<off_t>(bytes)) != 0
                    ? MAP_FAILED
                    : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (place == MAP_FAILED) {
    close(file);
    return outOfMemory;
  }
  if (bytes <= 1 << 20) // nobody may count on zeros
    std::memset(place, 0xa5, bytes);
  mprotect(place, bytes, protectionNow());
  *address = reinterpret_cast<Address>(place);
  fake().allocations[*address] = bytes;
  fake().files[*address] = file;
  fake().used += bytes;
  return success;
}

int cuMemFree_v2(Address address) {
  ENTER_TO_FREE;
  drainAll();
  auto found = fake().allocations.find(address);
  if (found == fake().allocations.end())
    return invalidValue;
  refuseToFreeImported(address);
  munmap(reinterpret_cast<void *>(address), found->second);
  fake().used -= found->second;
  fake().allocations.erase(found);
  close(fake().files[address]);
  fake().files.erase(address);
  fake().offered.erase(address);
  return success;
}

int cuIpcGetMemHandle(MemoryHandle *handle, Address address) {
  ENTER("cuIpcGetMemHandle");
  auto found = fake().files.find(address);
  if (found == fake().files.end())
    return invalidValue;
  fake().offered.insert(address);
  const SharedFile shared{getpid(), found->second, fake().allocations[address]};
  std::memcpy(handle->bytes.data(), &shared, sizeof shared);
  return success;
}

int cuIpcOpenMemHandle_v2(Address *address, MemoryHandle handle, unsigned) {
  ENTER("cuIpcOpenMemHandle");
  SharedFile shared;
  std::memcpy(&shared, handle.bytes.data(), sizeof shared);
  if (shared.process == getpid()) // as the driver
    return invalidContext;
  const std::string path =
      "/proc/" + std::to_string(shared.process) + "/fd/" + std::to_string(shared.file);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  void *place = mmap(nullptr, shared.bytes, protectionNow(), MAP_SHARED, file, 0);
  if (place == MAP_FAILED) {
    close(file);
    return invalidValue;
  }
  countImports(file, shared.bytes, 1);
  *address = reinterpret_cast<Address>(place);
  fake().imports[*address] = file;
  fake().allocations[*address] = shared.bytes;
  return success;
}

int cuIpcCloseMemHandle(Address address) {
  ENTER_TO_FREE;
  drainAll();
  auto found = fake().allocations.find(address);
  if (found == fake().allocations.end() || fake().files.contains(address))
    return invalidValue;
  munmap(reinterpret_cast<void *>(address), found->second);
  const int file = fake().imports.extract(address).mapped();
  countImports(file, found->second, -1);
  close(file);
  fake().allocations.erase(found);
  return success;
}

int cuMemHostAlloc(void **place, size_t bytes, unsigned) {
  ENTER("cuMemHostAlloc");
  *place = std::malloc(bytes);
  fake().pinned[static_cast<std::byte *>(*place)] = bytes;
  return success;
}

int cuMemFreeHost(void *place) {
  ENTER_TO_FREE;
  drainAll();
  fake().pinned.erase(static_cast<std::byte *>(place));
  std::free(place);
  return success;
}

int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, Stream stream) {
  LOCKED;
  if (const int status = enterFor("cuMemcpyHtoDAsync", to, bytes); status != success)
    return status;
  if (!isPinned(from)) // the driver would copy it aside; we have no use for that
    return invalidValue;
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void *>(to), from, bytes);
    return success;
  });
}

int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, Stream stream) {
  LOCKED;
  if (const int status = enterFor("cuMemcpyDtoHAsync", from, bytes); status != success)
    return status;
  if (!isPinned(to))
    return invalidValue;
  return enqueue(stream, [=] {
    std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
    return success;
  });
}

int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream stream) {
  LOCKED;
  if (const int status = enterFor("cuMemcpyDtoDAsync", to, bytes); status != success)
    return status;
  if (!isOnDevice(from, bytes))
    return invalidValue;
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
    return success;
  });
}

int cuMemsetD8Async(Address to, unsigned char value, size_t count, Stream stream) {
  LOCKED;
  if (const int status = enterFor("cuMemsetD8Async", to, count); status != success)
    return status;
  return enqueue(stream, [=] {
    std::memset(reinterpret_cast<void *>(to), value, count);
    return success;
  });
}

int cuMemsetD32Async(Address to, unsigned value, size_t count, Stream stream) {
  ENTER("cuMemsetD32Async");
  if (!isOnDevice(to, 4 * count) && !isPinned(reinterpret_cast<const void *>(to)))
    return invalidValue;
  return enqueue(stream, [=] {
    std::fill_n(reinterpret_cast<unsigned *>(to), count, value);
    return success;
  });
}

int cuStreamCreate(Stream *stream, unsigned) {
  ENTER("cuStreamCreate");
  *stream = new StreamObject;
  (*stream)->context = current;
  fake().streams.push_back(*stream);
  return success;
}

int cuStreamDestroy_v2(Stream stream) {
  ENTER_TO_FREE;
  drain(*stream);
  std::erase(fake().streams, stream);
  delete stream;
  return success;
}

/// Starts the work, which then goes on in the background: other calls wait for it.
int cuStreamQuery(Stream stream) {
  if (stream->isWorking)
    return notReady;
  ENTER("cuStreamQuery");
  if (stream->isDraining)
    return notReady;
  if (stream->queue.empty())
    return success;
  stream->isWorking = true;
  std::thread([stream] {
    LOCKED;
    drain(*stream);
    stream->isWorking = false;
  }).detach();
  return notReady;
}

int cuStreamSynchronize(Stream stream) {
  ENTER("cuStreamSynchronize");
  return drain(*stream);
}

int cuEventCreate(Event *event, unsigned) {
  ENTER("cuEventCreate");
  *event = new EventObject;
  ++fake().living;
  return success;
}

int cuEventDestroy_v2(Event event) {
  ENTER_TO_FREE;
  --fake().living;
  drainAll();
  delete event;
  return success;
}

int cuEventRecord(Event event, Stream stream) {
  ENTER("cuEventRecord");
  return enqueue(stream, [event] {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    event->seconds = std::chrono::duration<double>(now).count();
    return success;
  });
}

int cuEventElapsedTime(float *milliseconds, Event begin, Event end) {
  ENTER("cuEventElapsedTime");
  if (begin->seconds < 0 || end->seconds < 0)
    return 600; // CUDA_ERROR_NOT_READY
  *milliseconds = static_cast<float>(1e3 * (end->seconds - begin->seconds));
  return success;
}
}
// NOLINTEND(performance-no-int-to-ptr)
// NOLINTEND(readability-identifier-naming)
