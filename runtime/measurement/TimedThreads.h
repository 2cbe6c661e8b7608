// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Times threads that begin together.
#pragma once

#include <functional>

namespace grok::runtime {

/// Runs prepare(worker) and then, all at once, run(worker) on `threads` threads.
/// Seconds from the first that begins to run to the last that ends: by their own
/// clocks, since on a busy machine this thread may sleep through it all.
double timeThreads(int threads, const std::function<void(int)> &prepare,
                   const std::function<void(int)> &run);

} // namespace grok::runtime
