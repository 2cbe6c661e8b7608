// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Running a model whose ranks are threads of this process, or this process and
// others of its job.
#pragma once

#include "runtime/ranks/RankEnvironment.h"
#include "runtime/session/Model.h"
#include "tools/commandline/CommandLine.h"

namespace grok::tools {

/// Adds --ranks, --rank and --leader.
void declareRanks(CLI::App &app, runtime::RankFlags &flags);

/// Loads the artifact and runs `body` with it: on every rank's process the model
/// is loaded, on rank 0 the body runs, the others follow it. Returns the exit
/// code; an error has been reported. A failed peer ends the process with 3.
int runOnRanks(
    const CommandLine &commandLine, const std::string &artifact, runtime::LoadOptions options,
    const runtime::RankFlags &flags,
    const std::function<runtime::Result<void>(const std::shared_ptr<const runtime::Model> &)>
        &body);

} // namespace grok::tools
