// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives by a kernel that writes into the memory of the other ranks' devices, so
// that the host has no part in them.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/executor/RankLinks.h"
#include "runtime/plan/ExchangeABI.h"
#include <map>

namespace grok::runtime {

/// The windows of a rank and its view of the others'. Outlived by device and links.
class PeerExchange {
public:
  /// Collective: every rank of the job makes its own at the same time. Groups whose
  /// members cannot all reach each other's memory are left out, on all members.
  static Result<std::unique_ptr<PeerExchange>> create(Device &device, const RankLinks &links);
  ~PeerExchange();
  PeerExchange(const PeerExchange &) = delete;
  PeerExchange &operator=(const PeerExchange &) = delete;

  /// What the kernel is told of a collective; nothing if it cannot do it. `operation`
  /// outlives this.
  std::optional<GrokExchange> describe(plan::Collective kind, plan::Axis over, uint64_t rowBytes,
                                       bool ofLogits, const char *operation);
  /// Its number, of the device.
  uint32_t kernel() const { return kernelNumber; }
  /// That of the kernel that does a residual_norm, too, if the device has one and
  /// $GROK_FUSED_EXCHANGE is not 0. It is told the same.
  std::optional<uint32_t> normKernel() const { return normKernelNumber; }

private:
  struct Meeting {                                      // of a group
    std::vector<std::unique_ptr<DeviceMemory>> windows; // [member]
    std::unique_ptr<DeviceMemory> state;
    int index = 0;
  };

  PeerExchange(Device &device, const RankLinks &links, uint32_t kernel)
      : device(device), links(links), kernelNumber(kernel) {}
  Result<void> meet(const RankLinks::Entry &entry);
  Result<Meeting> makeMeeting(const Group &group, std::span<const WindowOffer> offers,
                              std::unique_ptr<DeviceMemory> own);
  Result<void> look();

  Device &device;
  const RankLinks &links;
  uint32_t kernelNumber;
  std::optional<uint32_t> normKernelNumber;
  std::unique_ptr<DeviceMemory> control; // GrokExchangeControl
  std::map<plan::Axis, Meeting> meetings;
  struct Operation {
    const char *name;
    plan::Axis over;
    bool isSum;
  };
  std::vector<Operation> operations;
  // Of the wait that the kernel speaks of.
  uint32_t waitingIn = 0; // number of the operation + 1, or 0
  std::chrono::steady_clock::time_point lastSpoke;
  std::optional<Wait> wait;
};

} // namespace grok::runtime
