// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: grok-opt %s --plan-assign-memory | FileCheck %s
// Assigning again changes nothing.
// RUN: grok-opt %s --plan-assign-memory --plan-assign-memory | FileCheck %s
// RUN: grok-opt %s --plan-assign-memory --remarks-filter=memory -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

plan.kernel @make "make" {} operands 1
plan.kernel @map "map" {} operands 2
plan.kernel @map3 "map3" {} operands 3

// `b` may not stand where `a` does: both are alive at the launch that reads one
// and writes the other. `c` starts when `a` is dead.
// CHECK-LABEL: plan.program @shares_bytes_of_the_dead
// CHECK-NEXT: plan.bucket rows 1 arena 128 {
// CHECK-NEXT: plan.buffer "a" at 0
// CHECK-NEXT: plan.buffer "b" at 64
// CHECK-NEXT: plan.buffer "c" at 0
// REMARK: arena of 128 bytes for 3 buffers of 192 bytes, 0 in place; at most 128 bytes are alive at once
plan.program @shares_bytes_of_the_dead {
  plan.bucket rows 1 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    %c = plan.buffer "c" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 1> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <constant = 1, max = 1> uses [<read, whole>, <write, panels>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "3" (%b, %c) tiles <constant = 1, max = 1> uses [<read, whole>, <write, panels>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// Each tile is a row that it has read before it stores: `b` takes the place of
// `a` and `c` that of `b`, in whatever order they are defined.
// CHECK-LABEL: plan.program @takes_over_rows
// CHECK-NEXT: plan.bucket rows 3 arena 192 {
// CHECK-NEXT: plan.buffer "c" at 0
// CHECK-NEXT: plan.buffer "b" at 0
// CHECK-NEXT: plan.buffer "a" at 0
// REMARK: arena of 192 bytes for 3 buffers of 576 bytes, 2 in place; at most 384 bytes are alive at once
plan.program @takes_over_rows {
  plan.bucket rows 3 {
    %c = plan.buffer "c" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 3> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 1, max = 3> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "3" (%b, %c) tiles <per_row = 1, max = 3> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// A dead buffer is taken over once.
// CHECK-LABEL: plan.program @takes_over_once
// CHECK-NEXT: plan.bucket rows 1 arena 128 {
// CHECK-NEXT: plan.buffer "a" at 0
// CHECK-NEXT: plan.buffer "b" at 0
// CHECK-NEXT: plan.buffer "c" at 64
plan.program @takes_over_once {
  plan.bucket rows 1 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    %c = plan.buffer "c" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 1> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map3 "2" (%a, %b, %c) tiles <per_row = 1, max = 1> uses [<read, rows>, <write, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// In none of these may `b` stand where `a` does.
// CHECK-LABEL: plan.program @keeps_apart_what_tiles_share
// CHECK-NEXT: plan.bucket rows 1 arena 128 {
// CHECK: plan.bucket rows 2 arena 256 {
// CHECK: plan.bucket rows 3 arena 384 {
// CHECK: plan.bucket rows 4 arena 512 {
plan.program @keeps_apart_what_tiles_share {
  // Every tile reads all of `a`.
  plan.bucket rows 1 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 1> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 1, max = 1> uses [<read, whole>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
  // Two tiles work on a row.
  plan.bucket rows 2 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 2> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 2, max = 4> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
  // `a` is written too.
  plan.bucket rows 3 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 3> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 1, max = 3> uses [<read_write, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
  // Equal bytes, another shape: rows lie elsewhere.
  plan.bucket rows 4 {
    %a = plan.buffer "a" : <tensor<?x4x4xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 4> uses [<write, rows>] : !plan.buffer<tensor<?x4x4xf32>>
    plan.launch @map "2" (%a, %b) tiles <per_row = 1, max = 4> uses [<read, rows>, <write, rows>] : !plan.buffer<tensor<?x4x4xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}

// `large` and `small` are dead when `new` starts, `wall` and `end` are not: of
// the two gaps that hold it, it takes the smaller, though that stands higher.
// CHECK-LABEL: plan.program @takes_the_smallest_gap
// CHECK-NEXT: plan.bucket rows 1 arena 1280 {
// CHECK-NEXT: plan.buffer "end" at 0
// CHECK-NEXT: plan.buffer "large" at 512
// CHECK-NEXT: plan.buffer "wall" at 832
// CHECK-NEXT: plan.buffer "small" at 1088
// CHECK-NEXT: plan.buffer "last" at 1216
// CHECK-NEXT: plan.buffer "new" at 1088
plan.program @takes_the_smallest_gap {
  plan.bucket rows 1 {
    %end = plan.buffer "end" : <tensor<128xf32>>
    %large = plan.buffer "large" : <tensor<80xf32>>
    %wall = plan.buffer "wall" : <tensor<64xf32>>
    %small = plan.buffer "small" : <tensor<32xf32>>
    %last = plan.buffer "last" : <tensor<16xf32>>
    %new = plan.buffer "new" : <tensor<17xi8>>
    plan.launch @make "1" (%end) tiles <constant = 1, max = 1> uses [<write, whole>] : !plan.buffer<tensor<128xf32>>
    plan.launch @make "2" (%wall) tiles <constant = 1, max = 1> uses [<write, whole>] : !plan.buffer<tensor<64xf32>>
    plan.launch @map3 "3" (%large, %small, %last) tiles <constant = 1, max = 1> uses [<write, whole>, <write, whole>, <write, whole>] : !plan.buffer<tensor<80xf32>>, !plan.buffer<tensor<32xf32>>, !plan.buffer<tensor<16xf32>>
    plan.launch @make "4" (%new) tiles <constant = 1, max = 1> uses [<write, whole>] : !plan.buffer<tensor<17xi8>>
    plan.launch @map3 "5" (%end, %wall, %last) tiles <constant = 1, max = 1> uses [<read, whole>, <read, whole>, <read, whole>] : !plan.buffer<tensor<128xf32>>, !plan.buffer<tensor<64xf32>>, !plan.buffer<tensor<16xf32>>
  }
}

// CHECK-LABEL: plan.program @drops_what_no_launch_names
// CHECK-NEXT: plan.bucket rows 1 arena 0 {
// CHECK-NEXT: }
plan.program @drops_what_no_launch_names {
  plan.bucket rows 1 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
  }
}

// Copies and collectives keep buffers alive as launches do; the logits, weights
// and pages of the cache are not the arena's.
// CHECK-LABEL: plan.program @counts_copies_and_collectives
// CHECK-NEXT: plan.bucket rows 1 arena 128 {
// CHECK-NEXT: plan.buffer "a" at 0
// CHECK-NEXT: plan.buffer "b" at 64
// CHECK-NEXT: plan.logits : <tensor<?x16xf32>>
plan.program @counts_copies_and_collectives {
  plan.bucket rows 1 {
    %a = plan.buffer "a" : <tensor<?x16xf32>>
    %b = plan.buffer "b" : <tensor<?x16xf32>>
    %logits = plan.logits : <tensor<?x16xf32>>
    plan.launch @make "1" (%a) tiles <per_row = 1, max = 1> uses [<write, rows>] : !plan.buffer<tensor<?x16xf32>>
    plan.copy %a to %b : <tensor<?x16xf32>>
    plan.collective "all_reduce" "sum" over ["tp"] reads %b : !plan.buffer<tensor<?x16xf32>> writes %a : !plan.buffer<tensor<?x16xf32>>
    plan.launch @map3 "2" (%a, %b, %logits) tiles <per_row = 1, max = 1> uses [<read, rows>, <read, rows>, <write, rows>] : !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>, !plan.buffer<tensor<?x16xf32>>
  }
}
