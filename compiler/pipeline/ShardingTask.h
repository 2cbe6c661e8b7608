// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the shard phase is asked for, from the options of a compilation.
#pragma once

#include "compiler/pipeline/Phases.h"
#include "frontends/checkpoint/Checkpoint.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

struct CompileOptions;

/// Names a sharding, or a machine to search one for, or neither: one rank. Error:
/// unknown machine, or a sharding of another number of ranks than it has.
Result<ShardingTask> shardingTaskOf(const CompileOptions &options, int64_t maxContext);

} // namespace grok::compiler
