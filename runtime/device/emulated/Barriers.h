// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Barriers of a block and of a cluster. PTX ISA: bar, barrier.cluster.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void barrier(GrokEmulatorThread *, uint32_t id, uint32_t threads, GrokEmulatorSite);
void barrierArrive(GrokEmulatorThread *, uint32_t id, uint32_t threads, GrokEmulatorSite);
uint32_t barrierReduce(GrokEmulatorThread *, uint32_t id, uint32_t threads, uint32_t how,
                       uint32_t predicate, GrokEmulatorSite);
void clusterArrive(GrokEmulatorThread *, GrokEmulatorSite);
void clusterWait(GrokEmulatorThread *, GrokEmulatorSite);

} // namespace grok::runtime::emulated
