// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which bytes a lane may touch, and how.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void enter(GrokEmulatorThread *, uint64_t staticSharedBytes);
void access(GrokEmulatorThread *, const void *address, uint32_t bytes, uint32_t how,
            GrokEmulatorSite);
/// Takes the place of `access` in launches that check nothing.
void allowAccess(GrokEmulatorThread *, const void *address, uint32_t bytes, uint32_t how,
                 GrokEmulatorSite);
void pause(GrokEmulatorThread *, GrokEmulatorSite);
void trap(GrokEmulatorThread *, GrokEmulatorSite);
void awaitCounter(GrokEmulatorThread *, const void *counter, uint32_t target, uint32_t task,
                  uint32_t awaited);
void startsEarly(GrokEmulatorThread *thread);
void waitForLaunches(GrokEmulatorThread *thread);
void fence(GrokEmulatorThread *, uint32_t kind, GrokEmulatorSite);
void *mapShared(GrokEmulatorThread *, const void *address, uint32_t rank, GrokEmulatorSite);

/// The block of the lane's cluster whose shared memory holds `address`, or null.
Block *ownerOf(const Lane &lane, const void *address);

/// The mark of bytes that the lane writes now through the generic proxy.
inline Mark writerMark(const Lane &lane) {
  return (lane.thread + 1) << clockBits | (lane.block->clock & clockMask);
}

/// Ends the launch unless [address, +bytes) is shared memory of the lane's
/// cluster, aligned, and no copy is at work there. Returns its block.
Block &checkShared(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                   GrokEmulatorAccess how, GrokEmulatorSite site);
void checkGlobal(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                 GrokEmulatorAccess how, GrokEmulatorSite site);
/// checkShared for reads by the async proxy (bulk copies, wgmma): what was
/// written through the generic proxy needs a fence.proxy.async in between.
void checkAsyncRead(Lane &lane, const void *address, uint32_t bytes, uint32_t alignment,
                    GrokEmulatorSite site);

} // namespace grok::runtime::emulated
