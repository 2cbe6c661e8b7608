// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Many kernels, some threads.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <tl/expected.hpp>

namespace grok::compiler {

/// Does one job; an error is one line.
using KernelJob = std::function<tl::expected<void, std::string>(size_t job)>;

/// Runs jobs 0 .. count - 1 on `threads` threads (0 = one per core), each of which
/// makes its own worker. After a failure no further job starts; the error is that of
/// the failed job with the lowest number.
tl::expected<void, std::string> runKernelJobs(size_t count, unsigned threads,
                                              const std::function<KernelJob()> &makeWorker);

} // namespace grok::compiler
