// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decision "in how many bits each matrix is stored".
#ifndef PASSES_QUANTIZATION_PASSES_TD
#define PASSES_QUANTIZATION_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectQuantization : Pass<"grok-select-quantization", "::mlir::ModuleOp"> {
  let summary = "Choose a format for every weight matrix";
  let description = [{
    Changes the types of `grok.weight` ops, and nothing else: what reads a weight
    takes it in any form. Norms and routers stay as stored. Runs on the imported
    module, before fusion, on weights as checkpoints store them: f32, bf16 or
    int8.

    `weights=int8`, `int4` or `int3` store the model alike. Of `int4` and `int3`
    that are the experts' matrices; attention and the embedding table become
    int8. `int8` leaves the float table of an int8 checkpoint as it is. `group`
    is the number of rows that share a multiplier. A matrix that no kernel could
    read in a format (its row groups are not made of whole groups of
    multipliers) becomes int8 instead.

    `weights=auto` chooses from `formats` for each item the one that is expected
    to cost least, within an average of `bits-per-weight` over all matrices,
    routers included, or within `budget-bytes` for all weights, or both. Bytes
    are those that are stored: scales, multipliers and padding count. The items
    are, for every layer `L`, `layerL.gate_up`, `layerL.down` and
    `layerL.attention`, and `table`. The result is proved optimal for the losses
    given, or its gap is stated, and no flat choice that fits is better.

    An item is expected to cost its sensitivity times the relative squared error
    of the format. Both are read from `grok.sensitivities` on the module, a
    dictionary by item: `loss`, in nats per relative squared error, and,
    optionally, `errors`, relative squared errors by format. Entries such as
    `layer3.down.expert5`, one for each expert of the item, make the item one per
    expert. A negative loss is noise and counts as none. Errors of formats that
    were not measured are those to be expected, scaled as the measured ones are.
    What has no entry goes by rule (docs/quantization.md).

    What was chosen, and what the flat choices would cost, is left on the module
    as `grok.quantization`.

    Before (`tests/passes/quantization/SelectQuantization.mlir`):
    ```mlir
    %w = grok.weight "transformer/decoder_layer_0/moe/linear_1/w"
        : tensor<2x128x64xi8, #grok.format<bits = 8, group_rows = 128, scale = bf16>>
    ```
    After, with `weights=int4`:
    ```mlir
    %w = grok.weight "transformer/decoder_layer_0/moe/linear_1/w"
        : tensor<2x128x64xi4, #grok.format<bits = 4, group_rows = 128, scale = bf16, multiplier_rows = 32, zero_point = 8>>
    ```
  }];
  let dependentDialects = ["::grok::GrokDialect"];
  let options = [
    Option<"weights", "weights", "std::string", "\"stored\"", "stored, int8, int4, int3 or auto">,
    Option<"group", "group", "int64_t", "32",
           "Rows that share a multiplier under weights=int4 or int3: 32 or 64">,
    Option<"bitsPerWeight", "bits-per-weight", "double", "0",
           "Largest average over all matrices under weights=auto; 0 = any">,
    Option<"budgetBytes", "budget-bytes", "int64_t", "0",
           "Largest sum of all weights under weights=auto; 0 = any">,
    ListOption<"formats", "formats", "std::string",
               "What weights=auto may choose: stored, int8, int4g32, int4g64, int3g32, int3g64; "
               "default all but stored">,
    ListOption<"assign", "assign", "std::string",
               "ITEM:FORMAT, such as layer3.down:int4g32 or layer3.down.expert5:int4g32, in place of "
               "what is chosen otherwise; the last one of an item holds">
  ];
  let statistics = [Statistic<"numRetyped", "num-retyped", "Weights given another format">];
}

def QuantizeActivations : Pass<"grok-quantize-activations", "::mlir::ModuleOp"> {
  let summary = "Round the inputs of integer matrix products to 8 or 15 bits";
  let description = [{
    Under `grok.numerics = "fast"`, every product of f32 rows with a quantised
    weight gets its rows from a `grok.quantize`, whose groups are the units of
    the product's exact integer sums (docs/numerics.md). Products of one input in
    equal units share it. Under any other numerics nothing changes.

    A product stays in floats if its weight is float, if its units are no
    multiple of four inputs, or if its weights (query, key and value; gate and
    up) have different units.

    With `bits=15` an input is two 8-bit digits, `128 * high + low`, for which the
    kernels take two products of 8 bits.

    Runs after fusion. A norm that is part of `grok.fused_qkv` becomes an op
    again: what is rounded is its result.

    Before (`tests/passes/quantization/QuantizeActivations.mlir`):
    ```mlir
    %y = grok.linear %x, %w : tensor<?x64xf32>, !int8 -> tensor<?x32xf32>
    ```
    After:
    ```mlir
    %q = grok.quantize %x : tensor<?x64xf32> -> tensor<?x64xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>
    %y = grok.linear %q, %w : tensor<?x64xf32, #grok.format<bits = 8, group_rows = 64, scale = f32, along = last>>, !int8 -> tensor<?x32xf32>
    ```
  }];
  let dependentDialects = ["::grok::GrokDialect"];
  let options = [Option<"bits", "bits", "int64_t", /*default=*/"8", "Of an input: 8 or 15">];
  let statistics = [
    Statistic<"numQuantized", "num-quantized", "Inputs rounded">,
    Statistic<"numProducts", "num-products", "Products that read them">,
    Statistic<"numNorms", "num-norms", "Norms taken out of fused ops">
  ];
}

#endif
