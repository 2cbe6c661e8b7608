// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --grok-fuse-attention | FileCheck %s
// RUN: grok-opt %s --grok-fuse-attention=key-slice=64 | FileCheck %s --check-prefix=SLICE
// RUN: not grok-opt %s --grok-fuse-attention=key-slice=0 2>&1 | FileCheck %s --check-prefix=ZERO

// SLICE: grok.flash_attention {{.*}}key_slice = 64
// ZERO: grok-fuse-attention expects a positive key-slice, found 0

!cache = !grok.cache<2 x 1 x 16, f32>

// CHECK-LABEL: @merges_norm_projections_rope_and_cache_write
// CHECK-SAME: %[[X:.*]]: tensor<?x96xf32>, %[[S:.*]]: tensor<96xf32>, %[[WQ:.*]]: tensor<96x96xf32>, %[[WK:.*]]: tensor<96x16xf32>, %[[WV:.*]]: tensor<96x16xf32>, %[[C0:.*]]: !grok.cache<2 x 1 x 16, f32>, %[[T:.*]]: tensor<?xi32>, %[[STEP:.*]]: !grok.step)
// CHECK-NEXT: %[[Q:.*]], %[[C1:.*]] = grok.fused_qkv %[[X]] norm %[[S]] weights %[[WQ]], %[[WK]], %[[WV]] cache %[[C0]], %[[T]], %[[STEP]]
// CHECK-SAME: base = {{1.0.*e\+04}} : f64, eps = {{1.0.*e-05}} : f64, head_dim = 16 : i64, layer = 0 : i64
// CHECK-SAME: -> tensor<?x96xf32>
// CHECK-NEXT: return %[[Q]], %[[C1]]
func.func @merges_norm_projections_rope_and_cache_write(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// Projections and rotations round to bf16, the cache stores its own type.
// CHECK-LABEL: @merges_literal_bf16
// CHECK-NEXT: grok.fused_qkv {{.*}} : tensor<?x96xbf16> norm tensor<96xf32>, {{.*}} -> tensor<?x96xbf16>
// CHECK-NEXT: return
func.func @merges_literal_bf16(%x: tensor<?x96xbf16>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xbf16>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
  %k = grok.linear %n, %wk : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
  %v = grok.linear %n, %wv : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xbf16>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xbf16>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xbf16>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xbf16>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xbf16>, !cache
}

// The query may be rotated after the cache write.
// CHECK-LABEL: @merges_in_any_order
// CHECK-NEXT: %[[Q:.*]], %[[C1:.*]] = grok.fused_qkv {{.*}} norm
// CHECK-NEXT: return %[[Q]], %[[C1]]
func.func @merges_in_any_order(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// The router reads it too: only the projections merge.
// CHECK-LABEL: @keeps_norm_with_another_user
// CHECK: %[[N:.*]] = grok.rms_norm
// CHECK: grok.fused_qkv %[[N]] weights
func.func @keeps_norm_with_another_user(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x96xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1, %n : tensor<?x96xf32>, !cache, tensor<?x96xf32>
}

// grok-fuse-residual ran before: there is no norm of its own to take.
// CHECK-LABEL: @leaves_norm_to_residual_fusion
// CHECK: %{{.*}}, %[[N:.*]] = grok.fused_residual_norm
// CHECK: grok.fused_qkv %[[N]] weights
// CHECK-SAME: eps = {{1.0.*e-05}}
func.func @leaves_norm_to_residual_fusion(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %h, %n = grok.fused_residual_norm %x, %x, %s, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_two_rope_bases
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_two_rope_bases(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e5 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_ropes_of_different_steps
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_ropes_of_different_steps(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step, %other: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %other {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_keys_rotated_for_another_step
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_keys_rotated_for_another_step(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step, %other: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %other {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %other {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_ropes_of_another_head_size
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_ropes_of_another_head_size(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 8 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 8 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_projections_of_two_inputs
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_projections_of_two_inputs(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %x, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @keeps_keys_with_another_user
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_keys_with_another_user(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x16xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1, %kr : tensor<?x96xf32>, !cache, tensor<?x16xf32>
}

// CHECK-LABEL: @keeps_values_with_another_user
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_values_with_another_user(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x16xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1, %v : tensor<?x96xf32>, !cache, tensor<?x16xf32>
}

// CHECK-LABEL: @keeps_query_used_unrotated
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_query_used_unrotated(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x96xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1, %q : tensor<?x96xf32>, !cache, tensor<?x96xf32>
}

// The fused op would round them.
// CHECK-LABEL: @keeps_unrounded_projections_of_bf16_rows
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_unrounded_projections_of_bf16_rows(%x: tensor<?x96xbf16>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xbf16>, !cache) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xbf16>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xbf16>, tensor<96x96xf32> -> tensor<?x96xbf16>
  %k = grok.linear %n, %wk : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xbf16>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xbf16>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xbf16>, !cache
}

// CHECK-LABEL: @keeps_two_candidates_for_the_query
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_two_candidates_for_the_query(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x96xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  %q2 = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %qr2 = grok.rope %q2, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  return %qr, %c1, %qr2 : tensor<?x96xf32>, !cache, tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_query_used_before_the_cache_write
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_query_used_before_the_cache_write(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache, tensor<?x96xf32>) {
  %n = grok.rms_norm %x, %s {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
  %q = grok.linear %n, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %n, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %n, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %y = grok.linear %qr, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1, %y : tensor<?x96xf32>, !cache, tensor<?x96xf32>
}

// CHECK-LABEL: @keeps_rows_without_a_norm
// CHECK-NOT: grok.fused_qkv
// CHECK: return
func.func @keeps_rows_without_a_norm(%x: tensor<?x96xf32>, %s: tensor<96xf32>, %wq: tensor<96x96xf32>, %wk: tensor<96x16xf32>, %wv: tensor<96x16xf32>, %c0: !cache, %tokens: tensor<?xi32>, %step: !grok.step) -> (tensor<?x96xf32>, !cache) {
  %q = grok.linear %x, %wq : tensor<?x96xf32>, tensor<96x96xf32> -> tensor<?x96xf32>
  %k = grok.linear %x, %wk : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %v = grok.linear %x, %wv : tensor<?x96xf32>, tensor<96x16xf32> -> tensor<?x16xf32>
  %qr = grok.rope %q, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x96xf32>
  %kr = grok.rope %k, %step {head_dim = 16 : i64, base = 1.0e4 : f64} : tensor<?x16xf32>
  %c1 = grok.cache_write %c0, %kr, %v, %tokens, %step {layer = 0 : i64} : !cache, tensor<?x16xf32>, tensor<?xi32>
  return %qr, %c1 : tensor<?x96xf32>, !cache
}

// CHECK-LABEL: @gives_attention_its_flash_form
// CHECK: grok.flash_attention %arg0, %arg1, %arg2 {key_slice = 256 : i64, layer = 1 : i64, multiplier = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64} : tensor<?x96xf32>
func.func @gives_attention_its_flash_form(%q: tensor<?x96xf32>, %c: !cache, %step: !grok.step) -> tensor<?x96xf32> {
  %o = grok.attention %q, %c, %step {layer = 1 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xf32>, !cache
  return %o : tensor<?x96xf32>
}

// Softmax weights are rounded after the division by the full sum.
// CHECK-LABEL: @keeps_two_passes_in_literal_bf16
// CHECK-NOT: grok.flash_attention
// CHECK: grok.attention
func.func @keeps_two_passes_in_literal_bf16(%q: tensor<?x96xbf16>, %c: !cache, %step: !grok.step) -> tensor<?x96xbf16> {
  %o = grok.attention %q, %c, %step {layer = 1 : i64, multiplier = 0.25 : f64, softcap = 30.0 : f64} : tensor<?x96xbf16>, !cache
  return %o : tensor<?x96xbf16>
}
