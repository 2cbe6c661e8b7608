// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// mbarrier objects. PTX ISA, "mbarrier". Their state is kept beside shared
// memory; the 8 bytes themselves must not be read or written.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void mbarrierInit(GrokEmulatorThread *, void *, uint32_t count, GrokEmulatorSite);
void mbarrierInvalidate(GrokEmulatorThread *, void *, GrokEmulatorSite);
uint64_t mbarrierArrive(GrokEmulatorThread *, void *, uint32_t count, uint32_t transactions,
                        uint32_t how, GrokEmulatorSite);
void mbarrierTransactions(GrokEmulatorThread *, void *, int64_t bytes, GrokEmulatorSite);
uint32_t mbarrierTest(GrokEmulatorThread *, void *, uint64_t stateOrParity, uint32_t isParity,
                      GrokEmulatorSite);
void mbarrierWait(GrokEmulatorThread *, void *, uint32_t parity, GrokEmulatorSite);
void copyArrive(GrokEmulatorThread *, void *mbarrier, uint32_t noIncrement, GrokEmulatorSite);

/// The object at `address`, in any block of the cluster; ends the launch if
/// there is none.
MBarrier &mbarrierAt(Lane &lane, const void *address, GrokEmulatorSite site);

/// Completes copies that lanes of the block wait for. Returns whether a lane
/// became ready.
bool deliverToWaiters(Block &block);

/// "mbarrier at shared byte 64, phase 1: 0 arrivals and 512 bytes are due".
std::string describe(const Block &block, const void *address);

} // namespace grok::runtime::emulated
