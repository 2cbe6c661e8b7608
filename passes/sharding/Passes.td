// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decision "which rank computes what".
#ifndef PASSES_SHARDING_PASSES_TD
#define PASSES_SHARDING_PASSES_TD

include "mlir/Pass/PassBase.td"

class Grok_ShardingPass<string flag> : Pass<flag, "::mlir::ModuleOp"> {
  let dependentDialects = ["::grok::GrokDialect", "::mlir::shard::ShardDialect",
                           "::mlir::func::FuncDialect"];
}

def SelectSharding : Grok_ShardingPass<"grok-select-sharding"> {
  let summary = "Choose how a model is spread over ranks";
  let description = [{
    Leaves the choice in the module as `grok.sharding`. With `sharding` it is the
    one that the text names, its layers shared among the stages as `stages` says,
    or evenly, the first ones getting one of the rest; without, the one that the
    module carries. Built with a machine and a workload (`createSelectSharding`)
    it is the best that the search finds for the module's shapes and formats.
    Layers behind `:hidden=` are left as `grok.hidden_layers`: ep splits their
    experts' hidden columns, as tp does, in place of the experts.
    Any is checked against the graph, with one error that says which number
    does not divide: heads and experts must, while the vocabulary and an expert's
    hidden columns are padded.

    Before (`tests/passes/sharding/SelectSharding.mlir`):
    ```mlir
    module {}
    ```
    After `--grok-select-sharding=sharding=tp2.pp2`, for a model of 3 layers:
    ```mlir
    module attributes {grok.sharding = #grok.sharding<tp = 2, ep = 1, pp = 2, dp = 1, stages = [2, 1]>} {}
    ```
  }];
  let options = [
    Option<"sharding", "sharding", "std::string", "\"\"",
           "tpN, epN, ppN and dpN, joined by dots, and :hidden=0-3,7 for layers whose "
           "experts' hidden columns are split over all ranks; empty: what the module carries">,
    ListOption<"stages", "stages", "int64_t", "Layers of each stage; empty: shared evenly">
  ];
  let statistics = [Statistic<"numRanks", "num-ranks", "Ranks of all replicas and stages">];
}

def AnnotateSharding : Grok_ShardingPass<"grok-annotate-sharding"> {
  let summary = "Write a sharding on every edge of the graph";
  let description = [{
    Adds the grid `@ranks` of one stage, `ep x tp`, and around every tensor value
    a `shard.shard` that says how it is made and one per use that says how it is
    read. Nothing is left for propagation to guess. Which factors of an op are
    split follows from the part it plays: heads, an expert's hidden columns and
    the vocabulary over tp, experts over ep.

    Where kv heads are fewer than tensor ranks, the tp axis is written as two,
    parts and replicas of kv heads; `grok-partition` makes it one again.

    Before (`tests/passes/sharding/AnnotateSharding.mlir`):
    ```mlir
    %l = grok.unembed %x, %table {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
    ```
    After:
    ```mlir
    %xu = shard.shard %xs to %whole annotate_for_users : tensor<?x8xf32>
    %tu = shard.shard %ts to %rows annotate_for_users : tensor<16x8xf32>
    %l = grok.unembed %xu, %tu {multiplier = 1.0 : f64} : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
    %ls = shard.shard %l to %columns : tensor<?x16xf32>
    ```
  }];
  let statistics = [Statistic<"numEdges", "num-edges", "Uses annotated">];
}

def CheckSharding : Grok_ShardingPass<"grok-check-sharding"> {
  let summary = "Check that every edge has a sharding";
  let description = [{
    One error names the op whose operand or result has none, that does not say how
    it may be sharded, or whose sharding is not on the grid `@ranks`. Upstream's
    partition crashes on such edges or takes them for replicated.

    ```mlir
    // error: 'grok.linear' op expects a sharding on operand 1
    %y = grok.linear %xs, %w : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
    ```
    (`tests/passes/sharding/CheckSharding.mlir`)
  }];
  let statistics = [Statistic<"numFunctions", "num-functions", "Functions checked">];
}

def Partition : Grok_ShardingPass<"grok-partition"> {
  let summary = "Turn annotated edges into the program that every rank runs";
  let description = [{
    Every op becomes its part (`ShardingInterface`): local types, weights with
    their slices, an all-reduce after an op that contracted a split factor, ids of
    local experts and tokens. Where the sharding that a value is made in is not
    the one it is read in, the shortest path of collectives leads from one to the
    other, shapes checked after each; logits are gathered and cut to the
    vocabulary. A weight is never moved between ranks. The cache holds a rank's
    kv heads.

    Before (`tests/passes/sharding/Partition.mlir`), with `%x` and `%w` split over
    2 ranks along the contracted factor:
    ```mlir
    %y = grok.linear %x, %w : tensor<?x8xf32>, tensor<8x6xf32> -> tensor<?x6xf32>
    ```
    After:
    ```mlir
    %p = grok.linear %x, %w : tensor<?x4xf32>, tensor<4x6xf32> -> tensor<?x6xf32>
    %y = shard.all_reduce %p on @ranks grid_axes = [1] : tensor<?x6xf32> -> tensor<?x6xf32>
    ```
  }];
  let statistics = [
    Statistic<"numFunctions", "num-functions", "Functions partitioned">,
    Statistic<"numReshards", "num-reshards", "Edges that change their sharding">
  ];
}

def OptimizeCollectives : Grok_ShardingPass<"grok-optimize-collectives"> {
  let summary = "Fewer, smaller and later collectives";
  let description = [{
    Partitioning completes every value at once. This pass removes what nobody
    needs: sums of hidden columns over expert ranks, which only the experts of
    the same rank read; gathers whose own part is sliced off again; sums over one
    rank. It merges sums over several axes, and a sum with a slice of it. It
    moves the sum over experts below their gate-weighted combination, which is
    smaller, unless `grok.reproducible` asks for experts' outputs to be complete
    before they are weighed.

    Before (`tests/passes/sharding/OptimizeCollectives.mlir`):
    ```mlir
    %r = shard.all_reduce %d on @ranks grid_axes = [0, 1] : tensor<?x2x8xf32> -> tensor<?x2x8xf32>
    %o = grok.combine %r, %g, %experts : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
    ```
    After:
    ```mlir
    %c = grok.combine %d, %g, %local : tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
    %o = shard.all_reduce %c on @ranks grid_axes = [0, 1] : tensor<?x8xf32> -> tensor<?x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numRemoved", "num-removed", "Collectives or axes of them removed">,
    Statistic<"numMerged", "num-merged", "Collectives merged with another">,
    Statistic<"numSunk", "num-sunk", "Sums moved below a combination">,
    Statistic<"numLeft", "num-left", "Collectives that are left">
  ];
}

def SplitStages : Grok_ShardingPass<"grok-split-stages"> {
  let summary = "Cut a model into one function per pipeline stage";
  let description = [{
    `@step` becomes `@stage0`, `@stage1`, ..., with the layers that
    `grok.sharding` gives each, counted from 0 in its own cache. All take
    (tokens, step, cache), and from the second on the residual `tensor<?xE>`
    that the stage before returned; all return their cache, after the residual
    or, the last one, the logits. A weight stands in every stage that reads it.
    With one stage, nothing changes.

    Before (`tests/passes/sharding/SplitStages.mlir`):
    ```mlir
    func.func @step(%tokens: tensor<?xi32>, %step: !grok.step, %cache: !grok.cache<2 x 1 x 4, f32>) -> (tensor<?x16xf32>, !grok.cache<2 x 1 x 4, f32>)
    ```
    After:
    ```mlir
    func.func @stage0(%tokens: tensor<?xi32>, %step: !grok.step, %cache: !grok.cache<1 x 1 x 4, f32>) -> (tensor<?x8xf32>, !grok.cache<1 x 1 x 4, f32>)
    func.func @stage1(%tokens: tensor<?xi32>, %step: !grok.step, %cache: !grok.cache<1 x 1 x 4, f32>, %residual: tensor<?x8xf32>) -> (tensor<?x16xf32>, !grok.cache<1 x 1 x 4, f32>)
    ```
  }];
  let statistics = [Statistic<"numStages", "num-stages", "Stages made">];
}

#endif
