// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Fused ops: what one kernel (or a fixed pair of kernels) does. Intermediate
// values have the element type of the activation operand.
#ifndef DIALECTS_GROK_GROKFUSEDOPS_TD
#define DIALECTS_GROK_GROKFUSEDOPS_TD

class Grok_FusedOp<string mnemonic, list<Trait> traits = []>
    : Grok_Op<mnemonic, traits # [DeclareOpInterfaceMethods<Grok_FusedInterface>]>;

def Grok_FusedQKVOp : Grok_FusedOp<"fused_qkv", [AllTypesMatch<["cache", "updated"]>]> {
  let summary = "Norm, query/key/value projections, RoPE and cache write";
  let description = [{
    `n = rms_norm(x, norm)` (only with `norm`), `q = rope(n . wq)`,
    `k = rope(n . wk)`, `v = n . wv`, and the cache with k and v written.

    ```mlir
    %q, %c1 = grok.fused_qkv %x norm %s weights %wq, %wk, %wv cache %c0, %tokens, %step
        {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64}
        : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, <2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Optional<Grok_Float>:$norm, Grok_Matrix:$query,
                       Grok_Matrix:$key, Grok_Matrix:$value, Grok_CacheType:$cache,
                       Grok_Indices:$tokens, Grok_StepType:$step, I64Attr:$layer,
                       I64Attr:$head_dim, F64Attr:$base, F64Attr:$eps);
  let results = (outs Grok_Activation:$rotated, Grok_CacheType:$updated);
  let assemblyFormat = [{
    $x (`norm` $norm^)? `weights` $query `,` $key `,` $value `cache` $cache `,` $tokens `,` $step
    attr-dict `:` type($x) (`norm` type($norm)^)? `,` type($query) `,` type($key) `,` type($value) `,`
    type($cache) `,` type($tokens) `->` type($rotated)
  }];
  let hasVerifier = 1;
}

def Grok_FlashAttentionOp : Grok_FusedOp<"flash_attention", [AllTypesMatch<["query", "result"]>]> {
  let summary = "Attention without a score matrix, in key slices";
  let description = [{
    The same function as `grok.attention`, summed in slices of `key_slice`
    positions from 0 with a running maximum, all query heads of a kv head
    sharing one read of its keys and values.

    ```mlir
    %o = grok.flash_attention %q, %cache, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, <2 x 1 x 16, f32>
    ```
  }];
  let arguments = (ins Grok_Activation:$query, Grok_CacheType:$cache, Grok_StepType:$step,
                       I64Attr:$layer, F64Attr:$multiplier, F64Attr:$softcap, I64Attr:$key_slice);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = "$query `,` $cache `,` $step attr-dict `:` type($query) `,` type($cache)";
  let hasVerifier = 1;
}

def Grok_FusedGateUpOp : Grok_FusedOp<"fused_gate_up"> {
  let summary = "Gate and up expert matmuls and GELU as one grouped matmul";
  let description = [{
    `gelu_gate(expert_matmul(x, gate), expert_matmul(x, up))`: one pass over the
    rows grouped by expert.

    ```mlir
    %y = grok.fused_gate_up %x, %wg, %wu, %experts : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$x, Grok_Matrix:$gate, Grok_Matrix:$up, Grok_Indices:$experts);
  let results = (outs Grok_Float:$result);
  let assemblyFormat = [{
    $x `,` $gate `,` $up `,` $experts attr-dict `:`
    type($x) `,` type($gate) `,` type($up) `,` type($experts) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Grok_FusedDownCombineOp : Grok_FusedOp<"fused_down_combine"> {
  let summary = "Down projection of the selected experts and their weighted sum";
  let description = [{
    `combine(expert_matmul(y, down), gates)` without storing the experts'
    outputs; an expert of -1 is left out. With a bf16 result the expert matmul
    has `bf16_weight`.

    ```mlir
    %o = grok.fused_down_combine %y, %wd, %gates, %experts : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Grok_Float:$x, Grok_Matrix:$down, Grok_Float:$gates, Grok_Indices:$experts);
  let results = (outs Grok_Activation:$result);
  let assemblyFormat = [{
    $x `,` $down `,` $gates `,` $experts attr-dict `:`
    type($x) `,` type($down) `,` type($gates) `,` type($experts) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Grok_FusedResidualNormOp : Grok_FusedOp<"fused_residual_norm",
    [AllTypesMatch<["residual", "x", "sum", "normed"]>, AllTypesMatch<["post", "next"]>]> {
  let summary = "Residual add of a post-normed block and the next pre-norm";
  let description = [{
    `sum = residual + rms_norm(x, post)`, `normed = rms_norm(sum, next)`.

    ```mlir
    %h1, %n = grok.fused_residual_norm %h, %a, %post, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    ```
  }];
  let arguments = (ins Grok_Activation:$residual, Grok_Activation:$x, Grok_Float:$post,
                       Grok_Float:$next, F64Attr:$eps);
  let results = (outs Grok_Activation:$sum, Grok_Activation:$normed);
  let assemblyFormat = "$residual `,` $x `,` $post `,` $next attr-dict `:` type($residual) `,` type($post)";
  let hasVerifier = 1;
}

#endif
