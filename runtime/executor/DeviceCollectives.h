// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Collectives between the memories of the ranks' devices.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/executor/RankLinks.h"

namespace grok::runtime {

/// A collective of the program on the device's buffers, for the rows of a step.
struct CollectiveRows {
  plan::Collective kind = plan::Collective::none;
  plan::Axis over = plan::Axis::NONE;
  std::byte *source = nullptr; // what is sent; of receive: what is received
  std::byte *target = nullptr; // none of send and receive
  int64_t rows = 0;
  uint64_t rowBytes = 0; // of one member
  bool ofLogits = false; // rows are those of logits
};

/// Waits for the device and moves rows through the host, where the device has memory of
/// its own. Both outlive it.
class DeviceCollectives {
public:
  DeviceCollectives(Device &device, const RankLinks &links) : device(&device), links(&links) {}

  /// Returns when the result is there for later launches.
  Result<void> run(const CollectiveRows &what);

private:
  Result<void> runOnHost(const CollectiveRows &what);

  Device *device;
  const RankLinks *links;
  std::vector<std::byte> source, target; // on the host; they grow to the largest
};

} // namespace grok::runtime
