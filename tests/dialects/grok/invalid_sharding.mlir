// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of what describes a sharded model.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

func.func @slices_without_full() {
  // expected-error@+1 {{expects full and slices together}}
  %w = grok.weight "w" {slices = [#grok.slice<dim = 0, parts = 2, axis = "tp">]} : tensor<8x6xf32>
  return
}

// -----

func.func @full_without_slices() {
  // expected-error@+1 {{expects full and slices together}}
  %w = grok.weight "w" {full = tensor<8x6xf32>} : tensor<8x6xf32>
  return
}

// -----

func.func @full_of_integers() {
  // expected-error@+1 {{expects full to be the type of a weight}}
  %w = grok.weight "w" {full = tensor<8x6xi32>, slices = []} : tensor<8x6xf32>
  return
}

// -----

func.func @slice_of_no_dimension() {
  // expected-error@+1 {{expects one slice for a dimension of 'tensor<8x6xf32>', found #grok.slice<dim = 2}}
  %w = grok.weight "w" {full = tensor<8x6xf32>, slices = [#grok.slice<dim = 2, parts = 2, axis = "tp">]} : tensor<8x6xf32>
  return
}

// -----

func.func @two_slices_of_a_dimension() {
  // expected-error@+1 {{expects one slice for a dimension}}
  %w = grok.weight "w" {full = tensor<8x6xf32>, slices = [#grok.slice<dim = 0, parts = 2, axis = "tp">, #grok.slice<dim = 0, parts = 2, axis = "ep">]} : tensor<2x6xf32>
  return
}

// -----

func.func @another_part() {
  // expected-error@+1 {{expects its part of 'tensor<7x6xf32>' to be 'tensor<16x6xf32>', found 'tensor<4x6xf32>'}}
  %w = grok.weight "w" {full = tensor<7x6xf32>, slices = [#grok.slice<dim = 0, parts = 2, axis = "tp">]} : tensor<4x6xf32>
  return
}

// -----

func.func @row_group_across_two_groups() {
  // expected-error@+1 {{to be 'tensor<6x6xi8, #grok.format<bits = 8, group_rows = 2, scale = bf16>>'}}
  %w = grok.weight "w" {full = tensor<12x6xi8, #grok.format<bits = 8, group_rows = 4, scale = bf16>>, slices = [#grok.slice<dim = 0, parts = 2, axis = "tp">]} : tensor<6x6xi8, #grok.format<bits = 8, group_rows = 6, scale = bf16>>
  return
}

// -----

func.func @experts_of_other_formats_elsewhere() {
  // expected-error@+1 {{expects expert 1 in the format of expert 0, which other ranks hold in its place}}
  %w = grok.weight "w" {full = tensor<2x8x6xi8, #grok.expert_formats<[<bits = 4, group_rows = 8, scale = bf16, zero_point = 8>, <bits = 8, group_rows = 8, scale = bf16>]>>, slices = [#grok.slice<dim = 0, parts = 2, axis = "ep">]} : tensor<1x8x6xi8, #grok.expert_formats<[<bits = 4, group_rows = 8, scale = bf16, zero_point = 8>]>>
  return
}

// -----

// expected-error@+1 {{expects 2 or more parts, found 1}}
func.func private @one_part() attributes {slice = #grok.slice<dim = 0, parts = 1, axis = "tp">}

// -----

// expected-error@+1 {{expects a dimension from 0, found -1}}
func.func private @part_of_no_dimension() attributes {slice = #grok.slice<dim = -1, parts = 2, axis = "tp">}

// -----

// expected-error@+1 {{expects axis "tp", "ep" or "ep.tp", found "pp"}}
func.func private @part_on_another_axis() attributes {slice = #grok.slice<dim = 0, parts = 2, axis = "pp">}

// -----

// expected-error@+1 {{expects tp to be positive and all degrees to make at most 1048576 ranks, found 0}}
module attributes {grok.sharding = #grok.sharding<tp = 0, ep = 1, pp = 1, dp = 1, stages = [1]>} {}

// -----

// expected-error@+1 {{expects dp to be positive and all degrees to make at most 1048576 ranks, found 1024}}
module attributes {grok.sharding = #grok.sharding<tp = 2048, ep = 1, pp = 1, dp = 1024, stages = [1]>} {}

// -----

// expected-error@+1 {{expects the layers of each of 2 stages, found 1}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [2]>} {}

// -----

// expected-error@+1 {{expects a layer or more in every stage}}
module attributes {grok.sharding = #grok.sharding<tp = 1, ep = 1, pp = 2, dp = 1, stages = [2, 0]>} {}

// -----

// expected-error@+1 {{expects grok.sharding to be a #grok.sharding, found "tp4"}}
module attributes {grok.sharding = "tp4"} {}

// -----

// expected-error@+1 {{expects grok.reproducible without a value, found true}}
module attributes {grok.reproducible = true} {}

// -----

func.func @local_experts_on_another_axis(%e: tensor<?x2xi32>) {
  // expected-error@+1 {{expects axis "ep", found "tp"}}
  %l = grok.local_experts %e {axis = "tp", count = 2 : i64} : tensor<?x2xi32>
  return
}

// -----

func.func @local_experts_of_a_vector(%e: tensor<?xi32>) {
  // expected-error@+1 {{expects experts of rank 2}}
  %l = grok.local_experts %e {axis = "ep", count = 2 : i64} : tensor<?xi32>
  return
}

// -----

func.func @local_tokens_of_nothing(%t: tensor<?xi32>) {
  // expected-error@+1 {{expects count to be positive, found 0}}
  %l = grok.local_tokens %t {axis = "tp", count = 0 : i64} : tensor<?xi32>
  return
}

// -----

func.func @local_tokens_of_a_matrix(%t: tensor<?x2xi32>) {
  // expected-error@+1 {{expects tokens of rank 1}}
  %l = grok.local_tokens %t {axis = "tp", count = 8 : i64} : tensor<?x2xi32>
  return
}

// -----

func.func @cut_to_more_columns(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expects 1 to 8 columns, found 'tensor<?x9xf32>'}}
  %y = grok.cut_columns %x : tensor<?x8xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @cut_to_another_type(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expects one element type}}
  %y = grok.cut_columns %x : tensor<?x8xf32> -> tensor<?x7xbf16>
  return
}
