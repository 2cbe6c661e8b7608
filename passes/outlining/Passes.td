// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decision "which kernels run, over which memory".
#ifndef PASSES_OUTLINING_PASSES_TD
#define PASSES_OUTLINING_PASSES_TD

include "mlir/Pass/PassBase.td"

def OutlineKernels : Pass<"grok-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn the fused step into kernels, packed weights and launches";
  let description = [{
    Replaces `func @step` by a `plan.layout` with every weight in kernel order,
    one `plan.kernel` for each distinct specification, and a `plan.program` with
    a `plan.bucket` for one row and one for `max-step-rows`. Nothing is left of
    the graph: values are buffers, the residual is one buffer that
    `residual_norm` updates, the cache is a page address, chosen rows are read
    through the step.

    Experts of a layer in different formats are cut into subsets that agree in the
    formats of gate, up and down (`tests/passes/outlining/MixedExperts.mlir`). Each
    has packed tensors (`<weight>.subset0`), `slots` that number its experts, and
    launches of its own; down_combine adds one subset's sums to those before it.

    Runs after fusion, on ops that a kernel exists for; any other op is an error
    that names it. Needs `grok.model` and `grok.numerics` ("f32" or "bf16") on
    the module, and adds `plan.page`, `plan.max_context` and
    `plan.max_step_rows`. Two launches share a kernel if all that its code
    depends on is equal, so that 64 layers have one body.

    Before (`tests/passes/outlining/OutlineKernels.mlir`):
    ```mlir
    %wo = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w" : !grouped
    %a = grok.linear %o, %wo : tensor<?x96xf32>, !grouped -> tensor<?x96xf32>
    ```
    After:
    ```mlir
    plan.layout @cpu {
      plan.tensor @"transformer/decoder_layer_0/multi_head_attention/linear/w" source "transformer/decoder_layer_0/multi_head_attention/linear/w"
          packing "panel16.k4" logical [96, 96] {row_groups = 2 : i64, slices = 2 : i64, unit = 16 : i64} : tensor<6x24x16x4xi8>
      plan.tensor @"transformer/decoder_layer_0/multi_head_attention/linear/w.scales" source "transformer/decoder_layer_0/multi_head_attention/linear/w.scales"
          packing "scales16" logical [2, 96] : tensor<2x96xbf16>
    }
    plan.kernel @linear_0 "linear" {in = 96 : i64, max_rows = 1 : i64, numerics = "f32", out = 96 : i64, tile_panels = 4 : i64,
        weight = {element = "i8", groups = 2 : i64, slices = 2 : i64, unit = 16 : i64}} operands 4
    plan.program @main {
      plan.bucket rows 1 {
        %a = plan.buffer "layer0.attention_output" : <tensor<?x96xf32>>
        plan.launch @linear_0 "layer0.attention_output"(%o, %linear_w, %linear_w.scales, %a) tiles <constant = 2, max = 2>
            uses [<read, whole>, <read, panels>, <read, panels>, <write, panels>] {layer = 0 : i64} : ...
    ```
  }];
  let dependentDialects = ["::grok::GrokDialect", "::grok::plan::PlanDialect", "::mlir::func::FuncDialect",
                           "::mlir::shard::ShardDialect"];
  let options = [
    Option<"maxStepRows", "max-step-rows", "int64_t", "512", "Rows of the largest step">,
    ListOption<"smallSteps", "small-steps", "int64_t",
               "Row bounds of steps between one row and the most, ascending, with kernels of their own">,
    Option<"rowAttention", "row-attention", "bool", "false",
           "Fast attention of one row is a kernel of its own: on GPUs it leaves memory to the next launch">,
    Option<"pageTokens", "page-tokens", "int64_t", "32",
           "Positions in one page of the cache; a power of two from 16 to 256">,
    Option<"maxContext", "max-context", "int64_t", "0",
           "Positions that a sequence may have; 0 = sequence_len of grok.model">,
    Option<"tilePanels", "tile-panels", "int64_t", "4", "16-column panels in one tile">,
    Option<"kv", "kv", "std::string", "\"f32\"", "Element of cache pages: f32, bf16, int8 or fp8">,
    Option<"layoutName", "layout", "std::string", "\"cpu\"", "Name of the weight layout">
  ];
  let statistics = [
    Statistic<"numKernels", "num-kernels", "Distinct kernels">,
    Statistic<"numLaunches", "num-launches", "Launches in all buckets">,
    Statistic<"numCollectives", "num-collectives", "Collectives in all buckets">,
    Statistic<"numTensors", "num-tensors", "Packed tensors">
  ];
}

#endif
