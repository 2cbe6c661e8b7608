// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// cp.async, cp.async.bulk and its tensor form. Data moves as late as the
// program allows; until then the bytes that will be written are NaN, and
// touching them, or changing bytes that will be read, ends the launch.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void copyAsync(GrokEmulatorThread *, void *to, const void *from, uint32_t bytes,
               uint32_t sourceBytes, GrokEmulatorSite);
void copyCommit(GrokEmulatorThread *, GrokEmulatorSite);
void copyWait(GrokEmulatorThread *, uint32_t pending, GrokEmulatorSite);

void bulkToShared(GrokEmulatorThread *, void *to, void *mbarrier, const void *from, uint32_t bytes,
                  uint32_t multicast, GrokEmulatorSite);
void bulkToCluster(GrokEmulatorThread *, void *to, void *mbarrier, const void *from, uint32_t bytes,
                   GrokEmulatorSite);
void bulkToGlobal(GrokEmulatorThread *, void *to, const void *from, uint32_t bytes,
                  GrokEmulatorSite);
void tensorToShared(GrokEmulatorThread *, void *to, const GrokEmulatorTensorMap *,
                    const int32_t *coordinates, void *mbarrier, uint32_t multicast,
                    GrokEmulatorSite);
void tensorToGlobal(GrokEmulatorThread *, const GrokEmulatorTensorMap *, const void *from,
                    const int32_t *coordinates, GrokEmulatorSite);
void bulkCommit(GrokEmulatorThread *, GrokEmulatorSite);
void bulkWait(GrokEmulatorThread *, uint32_t pending, uint32_t read, GrokEmulatorSite);

/// Writes what the copy carries and takes its marks away.
void complete(const BulkCopy &copy);
/// The same for the first `count` cp.async that the lane ever issued.
void completeCopies(Lane &lane, uint64_t count);
/// At the end of a thread: nothing may still read its block's shared memory.
void finishCopies(Lane &lane);

} // namespace grok::runtime::emulated
