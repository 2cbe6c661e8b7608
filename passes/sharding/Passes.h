// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The shard phase: one model becomes the local programs of its ranks.
#pragma once

#include "dialects/grok/GrokDialect.h"
#include "passes/sharding/search/Machine.h"
#include "passes/sharding/search/Workload.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace grok {

#define GEN_PASS_DECL
#include "passes/sharding/Passes.h.inc"

/// SelectSharding by search: the best sharding of `machine` for `workload` that
/// the module's formats and shapes allow, layers of each stage included.
std::unique_ptr<mlir::Pass> createSelectSharding(search::Machine machine,
                                                 search::Workload workload);

/// The passes after SelectSharding.
void buildPartitionPipeline(mlir::OpPassManager &pipeline);

/// The whole phase for a sharding like "tp4.pp2" (`grok-shard`). With "" the
/// module must carry `grok.sharding`.
void buildShardingPipeline(mlir::OpPassManager &pipeline, llvm::StringRef sharding);

/// Registers every pass of this folder and the pipeline `grok-shard`.
void registerShardingPasses();

} // namespace grok
