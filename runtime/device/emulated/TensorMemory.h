// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// tcgen05 of one block (cta_group::1). PTX ISA, "TensorCore 5th Generation Family
// Instructions": 128 lanes by 512 columns of 32-bit words; products of bytes by one
// thread, m128, which its commit has arrive at an mbarrier; loads and stores of shape
// 32x32b by warps, each of its quarter of the lanes.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void tmemAllocate(GrokEmulatorThread *, void *to, uint32_t columns, GrokEmulatorSite);
void tmemDeallocate(GrokEmulatorThread *, uint32_t address, uint32_t columns, GrokEmulatorSite);
void tmemRelinquish(GrokEmulatorThread *, GrokEmulatorSite);
void tmemMultiply(GrokEmulatorThread *, uint32_t d, uint64_t a, uint64_t b, uint32_t instruction,
                  uint32_t accumulates, GrokEmulatorSite);
void tmemCommit(GrokEmulatorThread *, void *mbarrier, GrokEmulatorSite);
uint32_t tmemLoad(GrokEmulatorThread *, uint32_t address, uint32_t columns, GrokEmulatorSite);
uint32_t tmemLoaded(GrokEmulatorThread *, uint32_t token, uint32_t index, GrokEmulatorSite);
void tmemStore(GrokEmulatorThread *, uint32_t address, uint32_t columns, const uint32_t *in,
               GrokEmulatorSite);
void tmemWait(GrokEmulatorThread *, uint32_t isStore, GrokEmulatorSite);
void tmemFence(GrokEmulatorThread *, uint32_t isAfter, GrokEmulatorSite);

/// Computes the first `count` products that the lane ever issued.
void completeProducts(Lane &lane, uint64_t count);
/// When all threads of the block have ended: what is wrong, or nothing.
std::string leakOf(const Block &block);

} // namespace grok::runtime::emulated
