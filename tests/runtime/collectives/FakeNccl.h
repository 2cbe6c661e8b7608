// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NCCL and a device of host memory, for ranks that are threads of a test: no
// GPU is needed to see what our group does with them.
#pragma once

#include "runtime/collectives/nccl/NcclGroup.h"

namespace grok::runtime {

/// Answers ncclInProgress first, as a non-blocking communicator may.
const nccl::Functions &fakeNccl();
/// From now on each gather ends with an asynchronous error, or never.
enum class FakeFailure { none, error, hang };
void setFakeFailure(FakeFailure failure);

std::unique_ptr<DeviceQueue> makeHostQueue();

} // namespace grok::runtime
