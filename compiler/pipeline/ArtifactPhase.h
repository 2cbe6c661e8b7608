// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last phase: from a plan module and its kernels to the artifact's folder.
#pragma once

#include "compiler/artifact/PlanWriter.h"

namespace grok::compiler {

/// What the folder is made from.
struct ArtifactSources {
  mlir::ModuleOp module;        // with memory assigned
  const PackingSource *weights; // null: a plan without weights
  std::string origin;           // of the weights, for unfinished work to be found again
  const PackProgress &progress;
};

/// Writes `folder`, whole or not at all; what weights of some size were packed
/// stay for the next run if this one fails. Fills the ranks of `plan` with what
/// was written. Gives the plan's bytes. MLIR's diagnostics come besides.
Result<uint64_t> writeArtifact(const std::string &folder, const ArtifactSources &sources,
                               PlanInputs &plan);

} // namespace grok::compiler
