// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decision "where every buffer stands".
#ifndef PASSES_MEMORY_PASSES_TD
#define PASSES_MEMORY_PASSES_TD

include "mlir/Pass/PassBase.td"

def AssignMemory : Pass<"plan-assign-memory", "::mlir::ModuleOp"> {
  let summary = "Give every buffer of a bucket its place in one arena";
  let description = [{
    A buffer lives from the first to the last launch that names it; buffers that
    are never alive together share bytes. Where a launch with one tile for each
    row reads a buffer for the last time and starts to write one of equal type,
    both by rows, the second takes the place of the first.

    Buffers are placed by size, the largest first, each into the smallest gap
    that holds it among those alive with it (best fit); ties go to the earlier
    buffer and the lower offset, so that equal input gives equal plans. Offsets
    are multiples of 64. A buffer that no launch names is dropped. `arena_bytes`
    is the end of the last buffer; the bucket's verifier, which shares no code
    with this pass, then proves the result.

    With `--remarks-filter=memory` each bucket reports its arena, the sum of its
    buffers' sizes and the least that any arena could have.

    Before (`tests/passes/memory/AssignMemory.mlir`):
    ```mlir
    plan.bucket rows 1 {
      %a = plan.buffer "a" : !plan.buffer<tensor<?x16xf32>>
      %b = plan.buffer "b" : !plan.buffer<tensor<?x16xf32>>
    ```
    After:
    ```mlir
    plan.bucket rows 1 arena 64 {
      %a = plan.buffer "a" at 0 : !plan.buffer<tensor<?x16xf32>>
      %b = plan.buffer "b" at 0 : !plan.buffer<tensor<?x16xf32>>
    ```
  }];
  let dependentDialects = ["::grok::plan::PlanDialect"];
  let statistics = [
    Statistic<"arenaBytes", "arena-bytes", "Bytes of all arenas">,
    Statistic<"bufferBytes", "buffer-bytes", "Sum of the sizes of all buffers">,
    Statistic<"numInPlace", "num-in-place", "Buffers that took the place of another">
  ];
}

#endif
