// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// mma.sync, ldmatrix, stmatrix. PTX ISA, "Warp level matrix instructions".
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

void loadMatrix(GrokEmulatorThread *, const void *row, uint32_t matrices, uint32_t transpose,
                uint32_t *out, GrokEmulatorSite);
void storeMatrix(GrokEmulatorThread *, void *row, uint32_t matrices, uint32_t transpose,
                 const uint32_t *in, GrokEmulatorSite);
void mma(GrokEmulatorThread *, const GrokEmulatorMma *, const uint32_t *in, uint32_t *out,
         GrokEmulatorSite);

} // namespace grok::runtime::emulated
