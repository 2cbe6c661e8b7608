// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which GPU a rank takes, and that no other rank has it.
#pragma once

#include "runtime/collectives/Communicator.h"
#include <string_view>

namespace grok::runtime {

/// The number of this rank among those of its host.
int placeOnHost(const Communicator &communicator);

/// Fails if `hardware` (Device::hardware) of `rank` is that of `other` too, unless
/// GROK_SHARE_GPUS=1.
Result<void> checkUnshared(std::string_view hardware, int rank, std::string_view others, int other);

/// The same with all ranks of this host. Collective over the ranks of the job.
Result<void> checkUnshared(Communicator &communicator, std::string_view hardware);

} // namespace grok::runtime
