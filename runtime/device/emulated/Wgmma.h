// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// wgmma. PTX ISA, "Asynchronous warpgroup level matrix instructions". Warp w of
// a warpgroup computes rows 16 w.. of the 64, so each warp works for itself.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void wgmma(GrokEmulatorThread *, const GrokEmulatorWgmma *, uint64_t a, uint64_t b,
           const uint32_t *in, uint32_t *out, GrokEmulatorSite);
void wgmmaFence(GrokEmulatorThread *, GrokEmulatorSite);
void wgmmaCommit(GrokEmulatorThread *, GrokEmulatorSite);
void wgmmaWait(GrokEmulatorThread *, uint32_t pending, GrokEmulatorSite);
uint32_t wgmmaResult(GrokEmulatorThread *, uint32_t token, uint32_t index, GrokEmulatorSite);

/// A matrix in shared memory as a wgmma descriptor tells it.
struct MatrixDescriptor {
  uint64_t start, leading, stride; // bytes
  uint32_t swizzle;                // bytes: 0, 32, 64, 128
};

MatrixDescriptor decodeDescriptor(uint64_t bits);

/// Offset in shared memory of byte `k` of row (A) or column (B) `index`. `k` is
/// in bytes along the contraction, or if `isTransposed` in elements of 16 bits.
uint64_t elementOffset(const MatrixDescriptor &matrix, uint32_t index, uint32_t k,
                       bool isTransposed);

} // namespace grok::runtime::emulated
