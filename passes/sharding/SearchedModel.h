// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A module as the search sees it.
#pragma once

#include "passes/sharding/ModelShape.h"
#include "passes/sharding/search/Model.h"

namespace grok::sharding {

/// Sizes of the model, and how many row groups its attention output has.
search::ModelShape searchedModel(mlir::ModuleOp module, const ModelShape &shape);

/// How the module's weights are stored; where formats of a kind differ, their
/// average. Layers whose experts are stored alike make a group; where that would be more
/// than four groups, those whose experts ep can split alike.
search::WeightFormat searchedFormat(mlir::ModuleOp module);

} // namespace grok::sharding
