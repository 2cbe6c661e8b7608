// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a rank knows of its host.
#pragma once

#include <chrono>
#include <string>

namespace grok::runtime {

/// This machine's name, for messages.
std::string hostName();

/// Different on every host and after every start of its kernel; "" if unknown.
std::string bootId();

/// How long a rank spins before it parks: not at all where the ranks of the host
/// outnumber its processors, since a spinning rank would keep the one it waits
/// for from running.
std::chrono::microseconds spinTimeFor(int ranksOnHost);

} // namespace grok::runtime
