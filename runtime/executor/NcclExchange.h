// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives by NCCL, from device memory to device memory in the order of the device's
// work: between hosts, in groups of any size, and for long messages.
#pragma once

#include "runtime/collectives/nccl/NcclGroup.h"
#include "runtime/device/Device.h"
#include "runtime/executor/DeviceCollectives.h"
#include "runtime/plan/MergeABI.h"
#include <array>
#include <map>

namespace grok::runtime {

/// From so many bytes of a member on, even with the fewest rows that a bucket is for, NCCL
/// is preferred to the kernel that writes into the others' memory. That sends each word with
/// a number beside it, so twice the bytes, in pieces of 64 KiB a member, two round trips of
/// some 2 us each. By arithmetic, for eight members at 370 GB/s, it takes 3 us and 18 us for
/// each MiB; two calls of NCCL, the merge and the cut of the step's graph take some 45 us and
/// 5 us for each MiB: equal at 3 MiB. The most rows of a bucket are about eight times its
/// fewest, so a third of that for those is in its favour. Not measured: $GROK_NCCL_FROM is
/// another number of bytes, to compare.
inline constexpr uint64_t ncclFromBytes = uint64_t(1) << 20;

/// The communicators of a rank. Outlived by device and links.
class NcclExchange {
public:
  /// Collective: every rank of the job makes its own at the same time, outside of steps.
  /// Groups whose members do not all have NCCL, the same one, and a GPU of their own are
  /// left out, on all members.
  static Result<std::unique_ptr<NcclExchange>> create(Device &device, const RankLinks &links);
  ~NcclExchange();
  NcclExchange(const NcclExchange &) = delete;
  NcclExchange &operator=(const NcclExchange &) = delete;

  /// Whether it does such collectives. The same on all members.
  bool serves(plan::Collective kind, plan::Axis over, uint64_t rowBytes) const;
  /// Whether it shall also do what the kernel could, of so many bytes of a member. The same on
  /// all members: the largest number that one of them was given counts.
  bool prefers(plan::Axis over, uint64_t bytes) const {
    return bytes >= meetings.at(over).fromBytes;
  }
  /// Makes room for one, of the most rows that it will have. Waits for the device.
  Result<void> prepare(const CollectiveRows &largest);
  /// Puts one into the device's work, within a step of its rows. `operation` outlives this.
  Result<void> run(const CollectiveRows &what, const char *operation);
  /// Ends what is in the device's work, which else may wait for ever for ranks that do not come.
  /// After an error this comes before whatever waits for the device, as freeing memory does.
  /// Steps fail from then on.
  void abort();

private:
  struct Meeting { // of a group
    std::unique_ptr<NcclGroup> group;
    // Of all members, as the service "merge" takes them; sums that do not fit the target.
    std::unique_ptr<DeviceMemory> parts, sums;
    uint64_t fromBytes = 0;
  };
  struct Operation {
    const char *name = "";
    plan::Axis over = plan::Axis::NONE;
    bool isSum = false;
    Wait::Kind kind = Wait::Kind::answer;
  };

  NcclExchange(Device &device, const RankLinks &links, nccl::Functions functions, uint32_t merge)
      : device(device), links(links), functions(functions), mergeKernel(merge) {}
  Result<void> probe();
  Result<void> meet(const RankLinks::Entry &entry, bool canMeet);
  Result<void> warmUp(plan::Axis over);
  Result<void> grow(std::unique_ptr<DeviceMemory> &memory, uint64_t bytes);
  Result<void> describe(const CollectiveRows &what);
  Result<void> merge(const CollectiveRows &what, const Meeting &meeting, std::byte *target);
  Result<void> gather(const CollectiveRows &what, const Meeting &meeting, nccl::Stream stream);
  Result<void> sum(const CollectiveRows &what, const Meeting &meeting, nccl::Stream stream);
  Result<void> look();
  Result<void> lookAt(uint32_t number);

  Device &device;
  const RankLinks &links;
  nccl::Functions functions;
  uint32_t mergeKernel; // of the device
  uint64_t fromBytes = ncclFromBytes;
  std::map<plan::Axis, Meeting> meetings;
  // GrokMerge of each form: group, words of a row, whether a sum, whether of logits
  using Form = std::tuple<plan::Axis, uint64_t, bool, bool>;
  static Form formOf(const CollectiveRows &what);
  std::map<Form, std::unique_ptr<DeviceMemory>> forms;

  // What is in the device's work: the device says how far it is.
  std::unique_ptr<DeviceMemory> finished; // of the host: number of the last that has ended
  uint32_t issued = 0;                    // number of the last one
  std::array<Operation, 1024> operations; // by number, the latest ones
  uint32_t waitingIn = 0;                 // its number
  std::optional<Wait> wait;
};

} // namespace grok::runtime
