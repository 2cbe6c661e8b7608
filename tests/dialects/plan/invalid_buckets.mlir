// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One case per rule of buckets and of what stands in them: lifetimes and races.
// RUN: grok-opt %s --split-input-file --verify-diagnostics

plan.program @main {
  // expected-error@+1 {{expects 1..2147483647 rows, got 0}}
  plan.bucket rows 0 {
  }
}

// -----

plan.program @main {
  // expected-error@+1 {{expects arena bytes that are a multiple of 64, got 100}}
  plan.bucket rows 1 arena 100 {
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{does not belong in a plan.bucket}}
    %c = arith.constant 1 : i64
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{here}}
    %a = plan.buffer "h" : <tensor<16xf32>>
    // expected-error@+1 {{has a name that is taken}}
    %b = plan.buffer "h" : <tensor<16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-note@+1 {{here}}
    plan.launch @k1 "same" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-error@+1 {{has a name that is taken}}
    plan.launch @k1 "same" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{expects a name}}
    %a = plan.buffer "" : <tensor<16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects a name}}
    plan.launch @k1 "" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 arena 1024 {
    // expected-error@+1 {{expects an offset that is a multiple of 64, got 32}}
    %a = plan.buffer "a" at 32 : <tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 arena 1024 {
    // expected-error@+1 {{expects an offset exactly in a bucket with an arena}}
    %a = plan.buffer "a" : <tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{expects an offset exactly in a bucket with an arena}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 arena 512 {
    // expected-error@+1 {{ends outside the arena of 512 bytes: 512 bytes at 64}}
    %a = plan.buffer "a" at 64 : <tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{needs more than 2^47 bytes at 8 rows}}
    %a = plan.buffer "a" : <tensor<?x1048576x16777216xf32>>
  }
}

// -----

plan.layout @cpu {
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<16xf32>
}
plan.program @main {
  plan.bucket rows 1 {
    // expected-error@+1 {{names @cpu::@u, which is no plan.tensor of a layout}}
    %w = plan.weight @cpu::@u : <tensor<16xf32>>
  }
}

// -----

plan.layout @cpu {
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<16xf32>
}
plan.program @main {
  plan.bucket rows 1 {
    // expected-error@+1 {{expects the type of its tensor, 'tensor<16xf32>'}}
    %w = plan.weight @cpu::@t : <tensor<32xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{expects a layer >= 0}}
    %kv = plan.kv layer -1 : <tensor<64xi8>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-error@+1 {{expects a type without rows: the bytes of one layer of a page}}
    %kv = plan.kv layer 0 : <tensor<?x64xi8>>
  }
}

// -----

module attributes {plan.page = {tokens = 32 : i64, bytes = 128 : i64, layer_bytes = 64 : i64, kv = "f32"}} {
plan.program @main {
  plan.bucket rows 1 {
    // expected-error@+1 {{expects layer_bytes of plan.page, 64, got 128}}
    %kv = plan.kv layer 0 : <tensor<128xi8>>
  }
}
}

// -----

module attributes {plan.page = {tokens = 32 : i64, bytes = 128 : i64, layer_bytes = 64 : i64, kv = "f32"}} {
plan.program @main {
  plan.bucket rows 1 {
    // expected-error@+1 {{names layer 2; plan.page has 2}}
    %kv = plan.kv layer 2 : <tensor<64xi8>>
  }
}
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{names @k1, which is no plan.kernel}}
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 2
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{passes 1 operands to a kernel of 2}}
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{has 1 operands and 2 uses}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>, <read, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{has more tiles at 8 rows than its max, 15}}
    plan.launch @k1 "l" (%a) tiles <per_row = 2, max = 15> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{has more tiles at 8 rows than its max, 8}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, constant = 1, max = 8> uses [<write, panels>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{has more tiles at 8 rows than its max, 8}}
    plan.launch @k1 "l" (%a) tiles <per_row = 9223372036854775807, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{takes its tile count from operand 2 of 1}}
    plan.launch @k1 "l" (%a) tiles <operand = 2, max = 8> uses [<write, panels>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects to read its tile count whole from a vector of i32, got '!plan.buffer<tensor<?x16xf32>>'}}
    plan.launch @k1 "l" (%a) tiles <operand = 0, max = 8> uses [<read, whole>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<16xi32>>
    // expected-error@+1 {{expects to read its tile count whole from a vector of i32}}
    plan.launch @k1 "l" (%a) tiles <operand = 0, max = 8> uses [<read_write, panels>] : !plan.buffer<tensor<16xi32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<16xi32>>
    // expected-error@+1 {{takes its tile count from element 16 of '!plan.buffer<tensor<16xi32>>'}}
    plan.launch @k1 "l" (%a) tiles <operand = 0, element = 16, max = 8> uses [<read, whole>] : !plan.buffer<tensor<16xi32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{lets up to 2 tiles write the whole of operand 0: a race}}
    plan.launch @k1 "l" (%a) tiles <constant = 2, max = 2> uses [<write, whole>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{lets up to 2 tiles write the whole of operand 0: a race}}
    plan.launch @k1 "l" (%a) tiles <constant = 2, max = 2> uses [<read_write, whole>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<16xf32>>
    // expected-error@+1 {{uses operand 0 by rows, but it has none}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{uses operand 0 by rows, but its tiles are not counted per row}}
    plan.launch @k1 "l" (%a) tiles <constant = 8, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{uses operand 0 by rows, but its tiles are not counted per row}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, constant = 1, max = 9> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.layout @cpu {
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<16xf32>
}
plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 1 {
    %w = plan.weight @cpu::@t : <tensor<16xf32>>
    // expected-error@+1 {{writes operand 0, a weight}}
    plan.launch @k1 "l" (%w) tiles <constant = 1, max = 1> uses [<write, whole>] : !plan.buffer<tensor<16xf32>>
  }
}

// -----

plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{writes operand 1, which is also operand 0: a race}}
    plan.launch @k2 "l" (%a, %a) tiles <constant = 2, max = 2> uses [<read, whole>, <write, panels>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{writes operand 0, which is also operand 1: a race}}
    plan.launch @k2 "l" (%a, %a) tiles <per_row = 1, max = 8> uses [<write, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{writes operand 1, which is also operand 0: a race}}
    plan.launch @k2 "l" (%a, %a) tiles <per_row = 2, max = 16> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects a layer >= 0}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] {layer = -1 : i64} : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.kv layer 3 : <tensor<64xi8>>
    // expected-error@+1 {{expects the layer of its cache operand, 3}}
    plan.launch @k1 "l" (%a) tiles <constant = 1, max = 1> uses [<write, panels>] {layer = 2 : i64} : !plan.buffer<tensor<64xi8>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{the buffer}}
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{reads operand 0 before any launch has written it}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, max = 8> uses [<read, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{the buffer}}
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{reads operand 0 before any launch has written it}}
    plan.launch @k1 "l" (%a) tiles <per_row = 1, max = 8> uses [<read_write, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{the buffer}}
    %logits = plan.logits : <tensor<?x16xf32>>
    // expected-error@+1 {{reads operand 0 before any launch has written it}}
    plan.launch @k1 "l" (%logits) tiles <per_row = 1, max = 8> uses [<read, rows>] : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{the buffer}}
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    // expected-error@+1 {{reads operand 0 before any launch has written it}}
    plan.copy %a to %b : <tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    // expected-note@+1 {{the buffer}}
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{reads operand 0 before any launch has written it}}
    plan.collective "send" "s" over ["pp"] reads %a : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 64 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <per_row = 1, max = 8> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 64 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <per_row = 1, max = 8> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <constant = 2, max = 2> uses [<read, whole>, <write, panels>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <per_row = 1, max = 8> uses [<read_write, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <per_row = 2, max = 16> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.launch @k2 "l" (%a, %b) tiles <per_row = 1, max = 8> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
    plan.launch @k2 "again" (%b, %a) tiles <per_row = 1, max = 8> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.kernel @k2 "b" {} operands 2
plan.program @main {
  plan.bucket rows 8 arena 2048 {
    // expected-note@+1 {{the other buffer}}
    %a = plan.buffer "a" at 0 : <tensor<?x16xf32>>
    // expected-error@+1 {{overlaps a buffer that is alive with it}}
    %b = plan.buffer "b" at 0 : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-note@+1 {{where both are alive}}
    plan.copy %a to %b : <tensor<?x16xf32>>
  }
}

// -----

plan.kernel @k1 "a" {} operands 1
plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    plan.launch @k1 "write_a" (%a) tiles <per_row = 1, max = 8> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    // expected-error@+1 {{expects two buffers}}
    plan.copy %a to %a : <tensor<?x16xf32>>
  }
}

// -----

plan.layout @cpu {
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<16xf32>
}
plan.program @main {
  plan.bucket rows 1 {
    %w = plan.weight @cpu::@t : <tensor<16xf32>>
    %a = plan.buffer "a" : <tensor<16xf32>>
    // expected-error@+1 {{writes a weight}}
    plan.copy %a to %w : <tensor<16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects kind all_gather, all_reduce, send or receive, got 'broadcast'}}
    plan.collective "broadcast" "c" over ["tp"] writes %a : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects a source and a target}}
    plan.collective "all_reduce" "c" over ["tp"] writes %a : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects a target, and no source}}
    plan.collective "receive" "c" over ["pp"] reads %a : !plan.buffer<tensor<?x16xf32>> writes %b : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<16xf32>>
    // expected-error@+1 {{expects buffers of rows}}
    plan.collective "receive" "c" over ["pp"] writes %a : !plan.buffer<tensor<16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects to go over pp, got ["tp"]}}
    plan.collective "receive" "c" over ["tp"] writes %a : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects to go over tp, ep or both, got ["tp", "tp"]}}
    plan.collective "all_reduce" "c" over ["tp", "tp"] reads %a : !plan.buffer<tensor<?x16xf32>> writes %b : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects an axis to go over}}
    plan.collective "all_reduce" "c" over [] reads %a : !plan.buffer<tensor<?x16xf32>> writes %b : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x32xf32>>
    // expected-error@+1 {{expects two buffers of one type with float32 rows}}
    plan.collective "all_reduce" "c" over ["tp"] reads %a : !plan.buffer<tensor<?x16xf32>> writes %b : !plan.buffer<tensor<?x32xf32>>
  }
}

// -----

plan.program @main {
  plan.bucket rows 8 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    // expected-error@+1 {{expects target rows of at least two source rows, of one element type}}
    plan.collective "all_gather" "c" over ["tp"] reads %a : !plan.buffer<tensor<?x16xf32>> writes %b : !plan.buffer<tensor<?x16xf32>>
  }
}

// -----

plan.layout @cpu {
  plan.tensor @t source "t" packing "vector16" logical [16] : tensor<16xf32>
}
plan.program @main {
  plan.bucket rows 1 {
    %w = plan.weight @cpu::@t : <tensor<16xf32>>
    // expected-error@+1 {{expects buffers of rows}}
    plan.collective "receive" "c" over ["pp"] writes %w : !plan.buffer<tensor<16xf32>>
  }
}
