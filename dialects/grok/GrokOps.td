// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plain ops: the steps of specification section 3. T = token rows, E = model
// width, N = outputs, H / Kh = query / kv heads, D = head size, X = experts,
// k = selected experts, F = expert hidden size, V = vocabulary.
#ifndef DIALECTS_GROK_GROKOPS_TD
#define DIALECTS_GROK_GROKOPS_TD

include "dialects/grok/GrokDialect.td"
include "dialects/grok/GrokInterfaces.td"
include "mlir/Dialect/Shard/Interfaces/ShardingInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpAsmInterface.td"

/// How an op is split over ranks follows from its entry in Factors.cpp.
class Grok_Op<string mnemonic, list<Trait> traits = []>
    : Op<Grok_Dialect, mnemonic,
         traits # [Pure, DeclareOpInterfaceMethods<Grok_CostInterface>,
                   ShardingInterface]> {
  let extraClassDeclaration = [{
    ::llvm::SmallVector<::mlir::utils::IteratorType> getLoopIteratorTypes();
    ::llvm::SmallVector<::mlir::shard::ReductionKind> getReductionLoopIteratorKinds();
    ::llvm::SmallVector<::mlir::AffineMap> getIndexingMaps();
    ::mlir::LogicalResult partition(::llvm::ArrayRef<::mlir::Value> operands,
                                    ::llvm::ArrayRef<::mlir::shard::Sharding> operandShardings,
                                    ::llvm::ArrayRef<::mlir::shard::Sharding> resultShardings,
                                    ::mlir::IRMapping &mapping,
                                    ::mlir::SymbolTableCollection &symbols,
                                    ::mlir::OpBuilder &builder);
  }];
  let extraClassDefinition = [{
    ::llvm::SmallVector<::mlir::utils::IteratorType> $cppClass::getLoopIteratorTypes() {
      return loopsOf(*this);
    }
    ::llvm::SmallVector<::mlir::shard::ReductionKind> $cppClass::getReductionLoopIteratorKinds() {
      return reductionsOf(*this);
    }
    ::llvm::SmallVector<::mlir::AffineMap> $cppClass::getIndexingMaps() { return mapsOf(*this); }
    ::mlir::LogicalResult $cppClass::partition(
        ::llvm::ArrayRef<::mlir::Value> operands,
        ::llvm::ArrayRef<::mlir::shard::Sharding> operandShardings,
        ::llvm::ArrayRef<::mlir::shard::Sharding> resultShardings, ::mlir::IRMapping &mapping,
        ::mlir::SymbolTableCollection &symbols, ::mlir::OpBuilder &builder) {
      return partitionOp(*this, operands, operandShardings, resultShardings, mapping, symbols,
                         builder);
    }
  }];
}

/// Activations: float32, or bfloat16 in the literal mode.
def Grok_Activation : RankedTensorOf<[F32, BF16]>;
/// Values that are float32 in every mode.
def Grok_Float : RankedTensorOf<[F32]>;
/// A weight: float, or integer codes under a format encoding.
def Grok_Matrix : Type<CPred<"::grok::isWeightType($_self)">,
    "static tensor of f32 or bf16 values, or of integer codes under #grok.format", "::mlir::RankedTensorType">;
def Grok_Indices : RankedTensorOf<[I32]>;

def Grok_WeightOp : Grok_Op<"weight", [DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "A named tensor of the checkpoint";
  let description = [{
    The parameter stored under `path` (specification section 2). Its type is as
    stored: float, or int8 under `#grok.format`, matrices as `[in, out]`.

    ```mlir
    %w = grok.weight "transformer/decoder_layer_0/router/w" : tensor<96x8xf32>
    ```
    A rank's part of it: `full` is then the type as stored and `slices` say what
    the part is, one for each dimension that is cut. The row groups of a part lie
    each in one group of the whole, whose scale they repeat.

    ```mlir
    %w = grok.weight "transformer/decoder_layer_0/multi_head_attention/linear/w"
        {full = tensor<128x64xi8, #grok.format<bits = 8, group_rows = 64, scale = bf16>>,
         slices = [#grok.slice<dim = 0, parts = 4, axis = "tp">]}
        : tensor<32x64xi8, #grok.format<bits = 8, group_rows = 32, scale = bf16>>
    ```
  }];
  let arguments = (ins StrAttr:$path, OptionalAttr<TypeAttrOf<AnyRankedTensor>>:$full,
                       OptionalAttr<TypedArrayAttrBase<Grok_SliceAttr, "slices">>:$slices);
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::llvm::StringRef":$path), [{
    build($_builder, $_state, type, path, ::mlir::TypeAttr(), ::mlir::ArrayAttr());
  }]>];
  let results = (outs Grok_Matrix:$result);
  let assemblyFormat = "$path attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Grok_DequantizeOp : Grok_Op<"dequantize"> {
  let summary = "Values of a quantised tensor, by definition of its format";
  let description = [{
    `result = (code - zero_point) * scale[group]`, computed in float32 and
    rounded once to the result's element type.

    ```mlir
    %f = grok.dequantize %w : tensor<96x96xi8, #grok.format<bits = 8, group_rows = 48, scale = bf16>> -> tensor<96x96xf32>
    ```
  }];
  let arguments = (ins Grok_Matrix:$codes);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$codes attr-dict `:` type($codes) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Grok_QuantizeOp : Grok_Op<"quantize"> {
  let summary = "Activations rounded to 8 or 15 bits per row and group";
  let description = [{
    The fast mode's input of a matrix product. Of every group of `group_rows`
    neighbours in a row: `scale = max|x| / most`,
    `code = round_to_even(x * (most / max|x|))`, and the result is `code * scale`,
    all in float32; a group of zeros stays zero. `most` is 127, or with 15 bits
    16319: two digits, `128 * high + low`. The format stands in the result's
    type, whose values are thus multiples of their group's scale.

    ```mlir
    %q = grok.quantize %x : tensor<?x96xf32> -> tensor<?x96xf32, #grok.format<bits = 8, group_rows = 32, scale = f32, along = last>>
    ```
  }];
  let arguments = (ins Grok_Float:$x);
  let results = (outs Grok_Float:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

def Grok_EmbedOp : Grok_Op<"embed"> {
  let summary = "Token embedding times the input multiplier (step 1)";
  let description = [{
    `h[t] = round(round(table[tokens[t]]) * multiplier)`, a row of zeros where
    the token is -1 (`grok.local_tokens`). With a bf16 result the multiplier is
    first rounded to bf16 (78.5 for the release).

    ```mlir
    %h = grok.embed %tokens, %table {multiplier = 1.37 : f64} : tensor<?xi32>, tensor<512x96xf32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Indices:$tokens, Grok_Matrix:$table, F64Attr:$multiplier);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` type($tokens) `,` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def Grok_RMSNormOp : Grok_Op<"rms_norm", [AllTypesMatch<["x", "result"]>]> {
  let summary = "Root mean square normalisation (step 2)";
  let description = [{
    `scale * (x * rsqrt(mean(x^2) + eps))` in float32, rounded once.

    ```mlir
    %y = grok.rms_norm %x, %scale {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Float:$scale, F64Attr:$eps);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $scale attr-dict `:` type($x) `,` type($scale)";
  let hasVerifier = 1;
}

def Grok_LinearOp : Grok_Op<"linear"> {
  let summary = "x . W without bias (steps 3, 8)";
  let description = [{
    Accumulates in float32 and rounds once. A quantised or float32 matrix is
    rounded to bf16 before the product if `x` is bf16.

    ```mlir
    %y = grok.linear %x, %w : tensor<?x96xf32>, tensor<96x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Matrix:$weight);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def Grok_RopeOp : Grok_Op<"rope", [AllTypesMatch<["x", "result"]>]> {
  let summary = "Rotary position embedding, half flavour (step 4)";
  let description = [{
    Rotates the pairs `(d, d + D/2)` of every head by
    `position / base^(2d/D)`. `x` is `[T, heads * D]`, head-major.

    ```mlir
    %y = grok.rope %x, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_StepType:$step, I64Attr:$head_dim, F64Attr:$base);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $step attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Grok_CacheWriteOp : Grok_Op<"cache_write", [AllTypesMatch<["cache", "result"]>,
                                                AllTypesMatch<["keys", "values"]>]> {
  let summary = "Stores this step's keys and values (section 4)";
  let description = [{
    The cache with the rows' keys (after RoPE) and values of `layer` written at
    their sequences' positions. A pad token's row is stored as not visible.

    ```mlir
    %c1 = grok.cache_write %c0, %k, %v, %tokens, %step {layer = 0 : i64} : <2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Grok_CacheType:$cache, Grok_Activation:$keys, Grok_Activation:$values,
                       Grok_Indices:$tokens, Grok_StepType:$step, I64Attr:$layer);
  let results = (outs Grok_CacheType:$result);
  let assemblyFormat = [{
    $cache `,` $keys `,` $values `,` $tokens `,` $step attr-dict `:` type($cache) `,` type($keys) `,` type($tokens)
  }];
  let hasVerifier = 1;
}

def Grok_AttentionOp : Grok_Op<"attention", [AllTypesMatch<["query", "result"]>]> {
  let summary = "Soft-capped causal attention over the cache (steps 5-8)";
  let description = [{
    Query head `h` reads kv head `h / (H / Kh)`. Scores are rounded to the
    activation type, multiplied, capped as `softcap * tanh(z / softcap)`, masked
    to -1e30 where the key is later than the row or a pad, softmaxed in float32,
    rounded, and weigh the values. Keys are those of the row's sequence at the
    positions up to the row's own; where all of them are pads, they weigh alike.

    ```mlir
    %o = grok.attention %q, %cache, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    ```
  }];
  let arguments = (ins Grok_Activation:$query, Grok_CacheType:$cache, Grok_StepType:$step,
                       I64Attr:$layer, F64Attr:$multiplier, F64Attr:$softcap);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$query `,` $cache `,` $step attr-dict `:` type($query) `,` type($cache)";
  let hasVerifier = 1;
}

def Grok_RouteOp : Grok_Op<"route"> {
  let summary = "Gate probabilities and choice of experts (step 11)";
  let description = [{
    `softmax(float32(x) . w)` over all experts, then the top `k` by
    probability, ties to the lower index, k from the result types. Gates are the
    raw probabilities: not renormalised.

    ```mlir
    %gates, %experts = grok.route %x, %w : tensor<?x96xf32>, tensor<96x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Float:$weight);
  let results = (outs Grok_Float:$gates, Grok_Indices:$experts);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `,` type($weight) `->` type($gates) `,` type($experts)";
  let hasVerifier = 1;
}

def Grok_ExpertMatmulOp : Grok_Op<"expert_matmul"> {
  let summary = "x . W[expert] for every selected expert (step 12)";
  let description = [{
    `x` is `[T, in]`, shared by the selected experts, or `[T, k, in]`; the
    weight is `[X, in, out]`; the result is `[T, k, out]`, zeros where the expert
    is -1 (`grok.local_experts`). Accumulates in float32 and rounds once. The matrix is rounded to bf16 before the product if
    `x` is bf16, or under `bf16_weight`: the literal mode's down projection
    multiplies a float32 `x` with a bf16 matrix.

    ```mlir
    %g = grok.expert_matmul %x, %w, %experts : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Matrix:$weight, Grok_Indices:$experts, UnitAttr:$bf16_weight);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $weight `,` $experts attr-dict `:` type($x) `,` type($weight) `,` type($experts) `->` type($result)";
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def Grok_GeluGateOp : Grok_Op<"gelu_gate", [AllTypesMatch<["gate", "up"]>]> {
  let summary = "gelu(gate) * up with the tanh form of GELU (step 12)";
  let description = [{
    `0.5 g (1 + tanh(sqrt(2/pi) (g + 0.044715 g^3))) * u`, float32 result.

    ```mlir
    %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$gate, Grok_Activation:$up);
  let results = (outs Grok_Float:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($gate) `->` type($result)";
  let hasVerifier = 1;
}

def Grok_CombineOp : Grok_Op<"combine"> {
  let summary = "Gate-weighted sum over the selected experts (step 13)";
  let description = [{
    `sum over selected, ascending expert id, of gate * x`, in float32, rounded
    once; an expert of -1 is left out. With a bf16 result the gate is rounded to
    bf16 first.

    ```mlir
    %o = grok.combine %d, %gates, %experts : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Float:$x, Grok_Float:$gates, Grok_Indices:$experts);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $gates `,` $experts attr-dict `:` type($x) `,` type($gates) `,` type($experts) `->` type($result)";
  let hasVerifier = 1;
}

def Grok_AddOp : Grok_Op<"add", [SameOperandsAndResultType, Commutative]> {
  let summary = "Residual addition (steps 9, 14)";
  let description = [{
    `lhs + rhs` in float32, rounded once.

    ```mlir
    %h1 = grok.add %h, %a : tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$lhs, Grok_Activation:$rhs);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def Grok_LogitRowsOp : Grok_Op<"logit_rows", [AllTypesMatch<["x", "result"]>]> {
  let summary = "The rows whose logits are wanted (step 15)";
  let description = [{
    Row `i` of the result is row `r[i]` of `x`, where `r` are the rows that the
    step wants logits of. The `?` of the result is their count, not that of `x`.

    ```mlir
    %y = grok.logit_rows %x, %step : tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_StepType:$step);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $step attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Grok_UnembedOp : Grok_Op<"unembed"> {
  let summary = "Logits from the tied table (step 16)";
  let description = [{
    `round(round(x . table^T) * multiplier)`; with a bf16 result the multiplier
    is first rounded to bf16 (0.578125 for the release).

    ```mlir
    %l = grok.unembed %x, %table {multiplier = 0.57 : f64} : tensor<?x96xf32>, tensor<512x96xf32> -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Matrix:$table, F64Attr:$multiplier);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x `,` $table attr-dict `:` type($x) `,` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def Grok_LocalExpertsOp : Grok_Op<"local_experts", [AllTypesMatch<["experts", "result"]>]> {
  let summary = "Chosen experts by their number on this rank";
  let description = [{
    The rank with index `i` on `axis` holds the `count` experts from `i * count`:
    an id among them becomes `id - i * count`, any other -1.

    ```mlir
    %l = grok.local_experts %experts {axis = "ep", count = 4 : i64} : tensor<?x2xi32>
    ```
  }];
  let arguments = (ins Grok_Indices:$experts, StrAttr:$axis, I64Attr:$count);
  let results = (outs Grok_Indices:$result);
  let assemblyFormat = "$experts attr-dict `:` type($experts)";
  let hasVerifier = 1;
}

def Grok_LocalTokensOp : Grok_Op<"local_tokens", [AllTypesMatch<["tokens", "result"]>]> {
  let summary = "Tokens by their row in this rank's part of the table";
  let description = [{
    The rank with index `i` on `axis` holds the `count` rows of the table from
    `i * count`: an id among them becomes `id - i * count`, any other -1.

    ```mlir
    %l = grok.local_tokens %tokens {axis = "tp", count = 128 : i64} : tensor<?xi32>
    ```
  }];
  let arguments = (ins Grok_Indices:$tokens, StrAttr:$axis, I64Attr:$count);
  let results = (outs Grok_Indices:$result);
  let assemblyFormat = "$tokens attr-dict `:` type($tokens)";
  let hasVerifier = 1;
}

def Grok_CutColumnsOp : Grok_Op<"cut_columns"> {
  let summary = "The first columns of every row";
  let description = [{
    Drops the columns that equal parts on all ranks have too many: logits of 3
    ranks with 176 tokens each are those of 512 tokens and 16 of padding.

    ```mlir
    %y = grok.cut_columns %x : tensor<?x528xf32> -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

include "dialects/grok/GrokFusedOps.td"

#endif
