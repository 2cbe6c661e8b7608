// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of the plain ops of routing and experts.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

func.func @route_to_too_many(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects 1 to 4 selected experts}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x5xf32>, tensor<?x5xi32>
  return
}

// -----

func.func @route_to_nobody(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects 1 to 4 selected experts}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x0xf32>, tensor<?x0xi32>
  return
}

// -----

func.func @route_with_other_indices(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects columns of experts to be 2, found 1}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x1xi32>
  return
}

// -----

func.func @route_of_another_width(%x: tensor<?x7xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects weight rows to be 7, found 8}}
  %g, %e = grok.route %x, %w : tensor<?x7xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_of_other_rows(%x: tensor<3x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects equal row counts}}
  %g, %e = grok.route %x, %w : tensor<3x8xf32>, tensor<8x4xf32> -> tensor<2x2xf32>, tensor<3x2xi32>
  return
}

// -----

func.func @route_of_a_vector(%x: tensor<8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %g, %e = grok.route %x, %w : tensor<8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_by_a_vector(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects weight of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return
}

// -----

func.func @route_to_vectors(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects gates of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?xf32>, tensor<?xi32>
  return
}

// -----

func.func @route_to_a_vector_of_experts(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %g, %e = grok.route %x, %w : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x2xf32>, tensor<?xi32>
  return
}

// -----

func.func @experts_of_a_vector(%x: tensor<8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects x of rank 2 or 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_by_one_matrix(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects weight of rank 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_by_a_vector_of_indices(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_to_a_matrix(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result of rank 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @experts_of_other_rows(%x: tensor<3x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<2x2xi32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.expert_matmul %x, %w, %e : tensor<3x8xf32>, tensor<4x8x6xf32>, tensor<2x2xi32> -> tensor<3x2x6xf32>
  return
}

// -----

func.func @experts_of_another_width(%x: tensor<?x7xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects weight rows to be 7, found 8}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x7xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_to_another_width(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result columns to be 6, found 5}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x5xf32>
  return
}

// -----

func.func @experts_to_another_count(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects selected experts of result to be 2, found 1}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x1x6xf32>
  return
}

// -----

func.func @experts_of_another_count(%x: tensor<?x3x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects selected experts of x to be 2, found 3}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x3x8xf32>, tensor<4x8x6xf32>, tensor<?x2xi32> -> tensor<?x2x6xf32>
  return
}

// -----

func.func @experts_of_nobody(%x: tensor<?x8xf32>, %w: tensor<4x8x6xf32>, %e: tensor<?x0xi32>) {
  // expected-error@+1 {{expects 1 or more selected experts}}
  %y = grok.expert_matmul %x, %w, %e : tensor<?x8xf32>, tensor<4x8x6xf32>, tensor<?x0xi32> -> tensor<?x0x6xf32>
  return
}

// -----

func.func @gelu_to_another_shape(%g: tensor<?x2x6xf32>) {
  // expected-error@+1 {{expects a result of the same shape}}
  %y = grok.gelu_gate %g, %g : tensor<?x2x6xf32> -> tensor<?x2x5xf32>
  return
}

// -----

func.func @combine_a_matrix(%x: tensor<?x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects x of rank 3}}
  %y = grok.combine %x, %g, %e : tensor<?x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_a_vector(%x: tensor<?x2x6xf32>, %g: tensor<?xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects gates of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_one_expert(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_to_a_vector(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result of rank 2}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<6xf32>
  return
}

// -----

func.func @combine_other_rows(%x: tensor<3x2x6xf32>, %g: tensor<2x2xf32>, %e: tensor<3x2xi32>) {
  // expected-error@+1 {{expects equal row counts}}
  %y = grok.combine %x, %g, %e : tensor<3x2x6xf32>, tensor<2x2xf32>, tensor<3x2xi32> -> tensor<3x6xf32>
  return
}

// -----

func.func @combine_by_other_gates(%x: tensor<?x2x6xf32>, %g: tensor<?x3xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects columns of gates to be 2, found 3}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x3xf32>, tensor<?x2xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_by_other_experts(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x3xi32>) {
  // expected-error@+1 {{expects columns of experts to be 2, found 3}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x3xi32> -> tensor<?x6xf32>
  return
}

// -----

func.func @combine_to_another_width(%x: tensor<?x2x6xf32>, %g: tensor<?x2xf32>, %e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects result columns to be 6, found 5}}
  %y = grok.combine %x, %g, %e : tensor<?x2x6xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x5xf32>
  return
}
