// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One line about why a cluster can do nothing more.
#pragma once

#include "runtime/device/emulated/Machine.h"

namespace grok::runtime::emulated {

/// Names what most lanes wait for and what the others do instead.
std::string explainDeadlock(const Launch &launch, const Cluster &cluster);

} // namespace grok::runtime::emulated
