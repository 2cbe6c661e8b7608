// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A CUDA driver without a GPU, for tests: libfake-cuda.so has the entry points that
// runtime/device/cuda uses. Device memory is memory of the host that can only be
// touched while the fake works on it; queued work is done when somebody waits for it;
// kernels run in the emulator, by their translations in a plan. It is stricter than a
// real driver: whoever forgets to wait, or to make the context current, sees it.
//
// Environment, read by cuInit:
//   FAKE_CUDA_PLAN=FILE       the plan whose translated kernels modules have
//   FAKE_CUDA_CAPABILITY=9.0  of the device (default 8.0); its translations are those of
//                             the plan's chip of this capability, or else of the last one
//   FAKE_CUDA_VERSION=12040   of the driver (default 12040)
//   FAKE_CUDA_DEVICES=0       devices (default 1)
//   FAKE_CUDA_MEMORY=BYTES    of the device (default 1 GiB)
//   FAKE_CUDA_COUNTS=FOLDER   where each process leaves, when it ends, lines of a count and what
//                             it counts: an entry point, "run of KERNEL" or "NCCL"
//   FAKE_CUDA_FAIL=WHAT       init, machine-code, module=KERNEL, launch=KERNEL or call=N: the
//                             N-th call of those that need a context and free nothing
#pragma once

#include "runtime/device/cuda/Driver.h"
#include "runtime/device/emulated/EmulatorABI.h"
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace grok::runtime::cuda {

// Other values of CUresult.
constexpr int invalidValue = 1, invalidImage = 200, invalidContext = 201, notFound = 500,
              launchFailed = 719;

constexpr int fakeMultiprocessors = 2; // that hold a block each

struct StreamObject {
  std::vector<std::function<int()>> queue;
  std::atomic<bool> isWorking = false; // in the background
  Context context = nullptr;           // whose thread made it
  bool isDraining = false;             // by some thread, which may let others work
};
struct EventObject {
  double seconds = -1; // when it was reached
};
struct FunctionObject {
  std::string name;
  GrokEmulatedKernel code = nullptr;
  uint32_t parameters = 0;
  int sharedBytes = 48 * 1024;
  bool isCooperative = false, awaitsPeers = false; // as the plan says
};
struct ModuleObject {
  std::map<std::string, std::unique_ptr<FunctionObject>> functions;
  std::string image; // PTX; empty for machine code
};
struct FakeLaunch {
  FunctionObject *function;
  unsigned blocks, threads, sharedBytes, clusterBlocks;
  std::vector<uint64_t> parameters;
  bool isCooperative = false;
};
struct GraphNodeObject {
  FakeLaunch launch;
  bool isLinked = false; // to the one before
  bool isEarly = false;  // by a programmatic edge
};
struct GraphObject {
  std::vector<std::unique_ptr<GraphNodeObject>> nodes; // each after the one before
};
struct GraphExecObject {
  std::vector<FakeLaunch> launches;
};

/// All that the fake knows. Every entry point holds the mutex.
struct FakeState {
  std::mutex mutex;
  std::string failure; // $FAKE_CUDA_FAIL
  int version = 0, devices = 0, major = 0, minor = 0;
  uint64_t memory = 0, used = 0;
  int stickyError = success;
  int openings = 0;                        // OpenMemory that live
  std::string errorText;                   // of it
  std::map<Address, uint64_t> allocations; // other processes' included, while they are open
  std::map<Address, int> files;            // of our own, for other processes
  std::set<Address> offered;               // likewise, whose handles were asked for
  std::map<Address, int> imports;          // of theirs
  std::map<const std::byte *, uint64_t> pinned;
  std::vector<StreamObject *> streams;
  std::map<std::string, int64_t> calls;
  int64_t failingCall = 0, callsThatMayFail = 0;
  int64_t living = 0; // modules, graphs, events and uses of contexts
};

FakeState &fake();
/// Whether this thread may call; counts the call of `function`.
int enterCall(const char *function);
/// Likewise of a function that frees something, which is never asked to fail.
int enterToFree();
bool holdsContext();
/// Whether [address, address + bytes) is inside one allocation of the device.
bool isOnDevice(Address address, uint64_t bytes);
bool isStream(Stream stream);
/// Adds to a stream what libraries of the driver's users do there.
void addWork(Stream stream, std::function<int()> work);
/// For such work that waits for others: lets them call meanwhile.
void letOthersWork();
/// Opens all device memory to the host while it lives.
class OpenMemory {
public:
  OpenMemory();
  ~OpenMemory();
};
/// Counts for the memory behind a file of so many bytes who has it open in other processes:
/// adds `change`, gives the sum.
int countImports(int file, uint64_t bytes, int change);
/// Ends the process if such memory of ours is still open elsewhere: as it is undefined then.
void refuseToFreeImported(Address address);
/// Writes all counts to $FAKE_CUDA_COUNTS, if it is set, when the process ends.
void tellCountsAtExit();
/// Loads the translations of $FAKE_CUDA_PLAN.
int loadTranslations();
int drain(StreamObject &stream);

} // namespace grok::runtime::cuda

extern "C" {
/// How often an entry point was called since the last cuInit.
int64_t fakeCudaCalls(const char *function);
/// Things that were made and not freed. Not memory that other processes were offered, and for
/// each its use of a context: they have to last.
int64_t fakeCudaLiving();
}
