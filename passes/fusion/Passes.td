// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decision "which steps share a kernel", one pass per kernel.
#ifndef PASSES_FUSION_PASSES_TD
#define PASSES_FUSION_PASSES_TD

include "mlir/Pass/PassBase.td"

class Grok_FusionPass<string flag> : Pass<flag> {
  let dependentDialects = ["::grok::GrokDialect"];
}

def FuseResidual : Grok_FusionPass<"grok-fuse-residual"> {
  let summary = "Merge a block's post-norm, the residual add and the next pre-norm";
  let description = [{
    All three read whole rows of the same width, so one kernel keeps a row in
    registers instead of writing it three times. The next norm is that of the
    following block or, after the last layer, the model's final norm.

    Must run before `grok-fuse-attention`, which would otherwise take the
    pre-norm of every layer; after both, only layer 0 has a norm of its own.
    The post-norm must have no other user, and both norms the same eps.

    A sum that the function returns, which is the residual between two pipeline
    stages, has no next norm: the fused op's second result is then unused.

    Before (`tests/passes/fusion/FuseResidual.mlir`):
    ```mlir
    %p = grok.rms_norm %a, %post {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %h1 = grok.add %h, %p : tensor<?x96xf32>
    %x = grok.rms_norm %h1, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    ```
    After:
    ```mlir
    %h1, %x = grok.fused_residual_norm %h, %a, %post, %next {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    ```
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Residual adds merged with their two norms">
  ];
}

def FuseAttention : Grok_FusionPass<"grok-fuse-attention"> {
  let summary = "Merge the steps before the cache, and give attention its flash form";
  let description = [{
    Query, key and value projections of one `x`, both RoPEs and the cache write
    become `grok.fused_qkv`: one pass over `x`, whose epilogue rotates heads and
    writes keys and values to their pages. The norm that made `x` is taken too if
    nothing but the three projections uses it.

    `grok.attention` becomes `grok.flash_attention` where activations are f32.
    In the literal bf16 mode it stays: the released model rounds the softmax's
    weights to bf16 after dividing by the full sum, which no single pass over the
    keys can know, so that mode needs the two-pass kernel.

    Before (`tests/passes/fusion/FuseAttention.mlir`):
    ```mlir
    %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
    %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
    %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
    %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
    %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !grok.cache<2 x 1 x 16, f32>, tensor<?x16xf32>, tensor<?xi32>
    %o = grok.attention %qr, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !grok.cache<2 x 1 x 16, f32>
    ```
    After:
    ```mlir
    %qr, %c1 = grok.fused_qkv %x norm %s weights %wq, %wk, %wv cache %c0, %tokens, %step {layer = 0 : i64, head_dim = 16 : i64, base = 1.0e4 : f64, eps = 1.0e-5 : f64} : tensor<?x96xf32> norm tensor<96xf32>, tensor<96x96xf32>, tensor<96x16xf32>, tensor<96x16xf32>, !grok.cache<2 x 1 x 16, f32>, tensor<?xi32> -> tensor<?x96xf32>
    %o = grok.flash_attention %qr, %c1, %step {layer = 0 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64, key_slice = 256 : i64} : tensor<?x96xf32>, !grok.cache<2 x 1 x 16, f32>
    ```
  }];
  let options = [
    Option<"keySlice", "key-slice", "int64_t", "256",
           "Positions per slice of flash attention; part of the order of its sums">
  ];
  let statistics = [
    Statistic<"numProjections", "num-projections", "Query/key/value groups merged">,
    Statistic<"numNorms", "num-norms", "Norms taken into such a group">,
    Statistic<"numFlash", "num-flash", "Attentions given their flash form">
  ];
}

def FuseGating : Grok_FusionPass<"grok-fuse-gating"> {
  let summary = "Merge gate and up expert matmuls with the GELU between them";
  let description = [{
    Both matmuls read the same rows for the same experts: one grouped matmul
    reads them once and applies GELU before anything is stored. Their results
    must have the type of `x` (that is where the literal mode rounds) and no
    other user.

    Before (`tests/passes/fusion/FuseGating.mlir`):
    ```mlir
    %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
    ```
    After:
    ```mlir
    %y = grok.fused_gate_up %x, %wg, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "num-fused", "Gate and up pairs merged">];
}

def FuseDownCombine : Grok_FusionPass<"grok-fuse-down-combine"> {
  let summary = "Merge the down expert matmul with the gate-weighted sum";
  let description = [{
    The sum over the selected experts happens where the matmul ends, so the
    experts' outputs are never stored. The literal mode multiplies a float32 row
    with a bf16 matrix: a bf16 sum must come from a matmul with `bf16_weight`,
    an f32 sum from one without.

    Before (`tests/passes/fusion/FuseDownCombine.mlir`):
    ```mlir
    %d = grok.expert_matmul %y, %wd, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xi32> -> tensor<?x2x96xf32>
    %o = grok.combine %d, %gates, %e : tensor<?x2x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    ```
    After:
    ```mlir
    %o = grok.fused_down_combine %y, %wd, %gates, %e : tensor<?x2x256xf32>, tensor<8x256x96xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x96xf32>
    ```
  }];
  let statistics = [Statistic<"numFused", "num-fused", "Down projections merged with their sum">];
}

def VerifyFused : Grok_FusionPass<"grok-verify-fused"> {
  let summary = "Check that a kernel exists for every grok op that is left";
  let description = [{
    The last pass of the phase. What no kernel computes alone must be part of a
    fused op by now; the error names the op and the pass that should have taken
    it. Where experts' outputs are completed over ranks before they are weighed
    (`grok.reproducible`), their matmul and their sum are kernels apart. Run with `--debug-only=greedy-rewriter` on a debug build of MLIR, the
    patterns say why they did not match.

    ```mlir
    // error: 'grok.rope' op expects to be part of grok.fused_qkv ...
    %y = grok.rope %x, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
    ```
    (`tests/passes/fusion/VerifyFused.mlir`)
  }];
  let statistics = [Statistic<"numKernelOps", "num-kernel-ops", "Ops that a kernel exists for">];
}

def DecomposeFused : Grok_FusionPass<"grok-decompose-fused"> {
  let summary = "Replace every fused op by the plain ops that define it";
  let description = [{
    The way back from fusion, for tests and for the interpreter: what comes out
    is what the fused op means. After the whole phase, this pass gives the graph
    that went in.

    Before (`tests/passes/fusion/DecomposeFused.mlir`):
    ```mlir
    %y = grok.fused_gate_up %x, %wg, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    ```
    After:
    ```mlir
    %g = grok.expert_matmul %x, %wg, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %u = grok.expert_matmul %x, %wu, %e : tensor<?x96xf32>, tensor<8x96x256xf32>, tensor<?x2xi32> -> tensor<?x2x256xf32>
    %y = grok.gelu_gate %g, %u : tensor<?x2x256xf32> -> tensor<?x2x256xf32>
    ```
  }];
  let statistics = [Statistic<"numDecomposed", "num-decomposed", "Fused ops replaced">];
}

#endif
