// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The grok dialect: the model as mathematics on tensors, one op per thing that
// the Grok-1 specification names.
#ifndef DIALECTS_GROK_GROKDIALECT_TD
#define DIALECTS_GROK_GROKDIALECT_TD

include "mlir/IR/DialectBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/TensorEncoding.td"

def Grok_Dialect : Dialect {
  let name = "grok";
  let cppNamespace = "::grok";
  let summary = "The Grok-1 model on tensors";
  let description = [{
    One op per step of the model, on tensors whose first dimension is the token
    row (`?`: any number of rows of any mix of sequences). The element type of a
    result is its rounding: an op computes in float32 and rounds once to the
    result's element type, so the same ops express the float32 mode and the
    literal bf16 mode of the released model.

    The fused ops (`fused_*`, `flash_attention`) are what the CPU and GPU
    kernels implement; each decomposes back into the plain ops.

    A module of a model carries `grok.model`, a dictionary of the numbers of its
    description under their keys of config.json, and `grok.numerics`, "f32",
    "bf16" or "fast". A model that runs on several ranks also carries
    `grok.sharding`, and `grok.reproducible` if its sums must not depend on how
    many ranks there are.
  }];
  let dependentDialects = ["::mlir::shard::ShardDialect"];
  let hasOperationAttrVerify = 1;
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class Grok_Attr<string name, string mnemonicText, list<Trait> traits = []>
    : AttrDef<Grok_Dialect, name, traits> {
  let mnemonic = mnemonicText;
}

class Grok_Type<string name, string mnemonicText> : TypeDef<Grok_Dialect, name> {
  let mnemonic = mnemonicText;
}

def Grok_FormatAttr : Grok_Attr<"Format", "format",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "How the elements of a quantised tensor are to be read";
  let description = [{
    Encoding of a tensor of integer codes, of `bits` bits: signed for 8 bits,
    unsigned below. An element is worth `(code - zero_point) * scale[group]`;
    groups are blocks of `group_rows` consecutive positions along the
    contraction axis of one column. The contraction axis is the second to last,
    or the last one under `along = last` (the embedding table, activations). The
    scales are part of the tensor: a tensor `[.., R, N]` carries scales
    `[.., R / group_rows, N]`, or `[.., R, N / group_rows]` along the last axis.

    With `multiplier_rows` there is a second level: blocks of that many
    positions have a signed 8-bit integer multiplier, and an element is worth
    `(code - zero_point) * multiplier * scale`. So the integers
    `(code - zero_point) * multiplier` stand on the grid of a coarser format.

    ```mlir
    // Released int8: eight groups of 768 rows per column.
    tensor<6144x6144xi8, #grok.format<bits = 8, group_rows = 768, scale = bf16>>
    // The same requantised to four bits on the grid of the released codes.
    tensor<6144x6144xi4, #grok.format<bits = 4, group_rows = 768, scale = bf16, multiplier_rows = 32, zero_point = 8>>
    // An embedding table of one scale per token.
    tensor<2048x192xi8, #grok.format<bits = 8, group_rows = 192, scale = bf16, along = last>>
    ```
    `codebook = "nf4"` names a table of levels for non-linear codes, in place of
    `zero_point`. On a tensor of f32 the encoding says that the values have been
    rounded to the format: quantised activations.
  }];
  let parameters = (ins "unsigned":$bits, "int64_t":$groupRows, "::mlir::Type":$scale,
                        DefaultValuedParameter<"int64_t", "0">:$multiplierRows,
                        DefaultValuedParameter<"int64_t", "0">:$zeroPoint,
                        DefaultValuedParameter<"::mlir::StringAttr", "::mlir::StringAttr()">:$codebook,
                        DefaultValuedParameter<"bool", "false">:$alongLast);
  let assemblyFormat = [{
    `<` `bits` `=` $bits `,` `group_rows` `=` $groupRows `,` `scale` `=` $scale
    `` custom<Levels>($multiplierRows, $zeroPoint, $codebook, $alongLast) `>`
  }];
  let builders = [
    AttrBuilderWithInferredContext<(ins "unsigned":$bits, "int64_t":$groupRows, "::mlir::Type":$scale), [{
      return $_get(scale.getContext(), bits, groupRows, scale, 0, 0, ::mlir::StringAttr(), false);
    }]>
  ];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Bits that one element costs in a contraction of `length` positions,
    /// multipliers and scales counted.
    double bitsPerElement(int64_t length) const;
  }];
}

def Grok_ExpertFormatsAttr : Grok_Attr<"ExpertFormats", "expert_formats",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "One format for each expert of a stack of matrices";
  let description = [{
    Encoding of a tensor `[X, R, N]` of i8 whose experts are quantised
    differently; i8 is the container of codes of any width.

    ```mlir
    tensor<2x96x64xi8, #grok.expert_formats<[
      #grok.format<bits = 4, group_rows = 96, scale = bf16, multiplier_rows = 32, zero_point = 8>,
      #grok.format<bits = 8, group_rows = 96, scale = bf16>]>>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"::grok::FormatAttr">:$formats);
  let assemblyFormat = "`<` `[` $formats `]` `>`";
}

def Grok_ShardingAttr : Grok_Attr<"Sharding", "sharding"> {
  let summary = "How a model is spread over ranks";
  let description = [{
    The module attribute `grok.sharding`. `tp` ranks split heads, the experts'
    hidden size and the vocabulary; `ep` ranks split the experts; `pp` stages hold
    `stages` layers each; `dp` replicas hold everything. Rank
    `((d * pp + p) * ep + e) * tp + t` is number `d`, `p`, `e` and `t` of them.

    ```mlir
    module attributes {grok.sharding = #grok.sharding<tp = 4, ep = 1, pp = 2, dp = 1, stages = [32, 32]>} {}
    ```
    On command lines the same is `tp4.pp2`, and 1 rank `tp1`.
  }];
  let parameters = (ins "int64_t":$tp, "int64_t":$ep, "int64_t":$pp, "int64_t":$dp,
                        ArrayRefParameter<"int64_t">:$stages);
  let assemblyFormat = [{
    `<` `tp` `=` $tp `,` `ep` `=` $ep `,` `pp` `=` $pp `,` `dp` `=` $dp `,`
    `stages` `=` `[` $stages `]` `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Reads "tp4.pp2": degrees in any order, each at most once, 1 if not named.
    /// `layers` are shared evenly, the first stages getting one of the rest.
    static ::mlir::FailureOr<ShardingAttr>
    parseText(::mlir::MLIRContext *context, ::llvm::StringRef text, int64_t layers,
              ::llvm::function_ref<::mlir::InFlightDiagnostic()> emitError);

    /// The degrees above 1 in the order tp, ep, pp, dp; "tp1" if there are none.
    std::string text() const;

    /// Of all replicas and stages.
    int64_t countRanks() const { return getTp() * getEp() * getPp() * getDp(); }
  }];
}

def Grok_SliceAttr : Grok_Attr<"Slice", "slice"> {
  let summary = "Which part of a weight's dimension a rank holds";
  let description = [{
    Dimension `dim` is cut into `parts` equal parts of `extent / parts`, or of the
    next multiple of 16 if that leaves a rest; what the last ones lack is zeros.
    The rank with index `i` of `n` on `axis` ("tp", "ep", or "ep.tp" for all ranks
    of a stage, `ep` the slower) holds part `i * parts / n`: fewer parts than ranks are each held by several, as kv heads
    are.

    ```mlir
    %w = grok.weight "w" {full = tensor<96x64xf32>, slices = [#grok.slice<dim = 1, parts = 4, axis = "tp">]} : tensor<96x16xf32>
    ```
  }];
  let parameters = (ins "int64_t":$dim, "int64_t":$parts, "::mlir::StringAttr":$axis);
  let assemblyFormat = "`<` `dim` `=` $dim `,` `parts` `=` $parts `,` `axis` `=` $axis `>`";
  let genVerifyDecl = 1;
}

def Grok_StepType : Grok_Type<"Step", "step"> {
  let summary = "What each row of a step is: its position, sequence and page table";
}

def Grok_CacheType : Grok_Type<"Cache", "cache"> {
  let summary = "The paged key/value cache of all layers";
  let description = [{
    Value of the whole cache: keys (after RoPE) and values of every layer, and
    for each position whether its token may be seen as a key (pad may not).
    `!grok.cache<64 x 8 x 128, f32>` = layers x kv heads x head size x element.
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$kvHeads, "int64_t":$headDim,
                        "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $layers `x` $kvHeads `x` $headDim `,` $elementType `>`";
  let genVerifyDecl = 1;
}

#endif
