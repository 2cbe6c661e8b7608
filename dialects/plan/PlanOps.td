// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops of the plan dialect.
#ifndef DIALECTS_PLAN_PLANOPS_TD
#define DIALECTS_PLAN_PLANOPS_TD

include "dialects/plan/PlanDialect.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Plan_Op<string mnemonic, list<Trait> traits = []> : Op<Plan_Dialect, mnemonic, traits>;

def Plan_KernelOp : Plan_Op<"kernel", [Symbol]> {
  let summary = "A kernel: what is generated once and launched many times";
  let description = [{
    `op` and `params` are the kernel's whole specification; two kernels never
    have equal ones. `operands` is the number of buffers that a launch passes.

    ```mlir
    plan.kernel @linear_0 "linear" {in = 96 : i64, out = 96 : i64} operands 4
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$op, DictionaryAttr:$params, I64Attr:$num_operands);
  let assemblyFormat = "$sym_name $op $params `operands` $num_operands attr-dict";
  let hasVerifier = 1;
}

def Plan_LayoutOp : Plan_Op<"layout", [Symbol, SymbolTable, NoTerminator, SingleBlock, NoRegionArguments,
                                       IsolatedFromAbove]> {
  let summary = "A weight file: packed tensors in the order kernels stream them";
  let description = [{
    The tensors stand in the file in this order. A target family has one layout,
    whatever its levels.

    ```mlir
    plan.layout @cpu {
      plan.tensor @"language_model/rms_norm/scale" source "language_model/rms_norm/scale" packing "vector16" logical [96] : tensor<96xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

def Plan_TensorOp : Plan_Op<"tensor", [Symbol, HasParent<"LayoutOp">]> {
  let summary = "A packed tensor of a layout";
  let description = [{
    `source` is the checkpoint path (with suffix `.scales` for the scales of a
    quantised tensor, or `rope` for the rotation table that the compiler makes),
    `logical` the shape there, and the type is what the weight file holds:

    | packing | logical | type |
    |---|---|---|
    | `panel16.kP` | `[K, N]` (`[N, K]` if `transposed`) or `[X, K, N]` | `[X?, panels, K/P, 16, P]` |
    | `panel16.iB.gM` | the same, codes of B = 4 or 3 bits, M = 32 or 64 rows a multiplier | bytes `[X?, panels, 16 (K B / 8 + K / M)]` |
    | `scales16` | `[G, N]` or `[X, G, N]` | `[X?, G, panels * 16]` |
    | `vector16` | `[N]` | `[N padded to 16]` |
    | `rope` | `[positions, 2, D/2]` | the same: a row of cosines, a row of sines |
    | `first16` | `[rows of a part]` | `[16]`, int32 |

    | `slots` | `[X]` | `[X]`, int32 |

    A panel is 16 columns; every `column_group` columns (0: all of them) are
    padded to 16 together. `row_groups`, `unit` and `slices` fix the order of
    sums. `rope_base` belongs to `rope`.

    `part` says which part of the checkpoint's matrix a rank holds: its `slices`
    (`#grok.slice`), the `stored` type and the part's `shape`; `logical` is then
    that of the part. Scales have the part of their matrix.
    `experts` are the numbers of the experts that the tensor holds, ascending, if
    it does not hold all: the extent X of its type is theirs, `logical` is that of
    all. `slots`, made by the compiler, gives each of all X experts its place among
    `experts`, or -1.
    `first16` is made by the compiler: the number of the first row of the rank's
    part along dimension 0, in each element.

    ```mlir
    plan.tensor @"transformer/decoder_layer_0/router/w" source "transformer/decoder_layer_0/router/w" packing "panel16.k1"
        logical [96, 8] {unit = 32 : i64} : tensor<1x96x16x1xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$source, StrAttr:$packing,
                       DenseI64ArrayAttr:$logical, TypeAttrOf<AnyRankedTensor>:$type,
                       DefaultValuedAttr<I64Attr, "1">:$row_groups,
                       DefaultValuedAttr<I64Attr, "0">:$unit,
                       DefaultValuedAttr<I64Attr, "1">:$slices,
                       DefaultValuedAttr<I64Attr, "0">:$column_group,
                       UnitAttr:$transposed, OptionalAttr<F64Attr>:$rope_base,
                       OptionalAttr<DictionaryAttr>:$part, OptionalAttr<DenseI64ArrayAttr>:$experts);
  let assemblyFormat = "$sym_name `source` $source `packing` $packing `logical` $logical attr-dict `:` $type";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Bytes in the weight file: the packed type rounded up to 64.
    int64_t getPaddedBytes();
  }];
}

def Plan_ProgramOp : Plan_Op<"program", [Symbol, NoTerminator, SingleBlock, NoRegionArguments,
                                         IsolatedFromAbove, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The step of one rank kind, in buckets of row counts";
  let description = [{
    A step of `n` rows runs the first bucket with `max_rows >= n`; buckets stand
    in ascending order. Ranks of pipeline stage `stage` run it; its pages hold
    `layers` layers from `first_layer`.

    ```mlir
    plan.program @main attributes {layers = 2 : i64} {
      plan.bucket rows 1 {
      }
      plan.bucket rows 512 {
      }
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DefaultValuedAttr<I64Attr, "0">:$stage,
                       DefaultValuedAttr<I64Attr, "0">:$layers,
                       DefaultValuedAttr<I64Attr, "0">:$first_layer);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

def Plan_BucketOp : Plan_Op<"bucket", [NoTerminator, SingleBlock, NoRegionArguments, IsolatedFromAbove,
                                       HasParent<"ProgramOp">]> {
  let summary = "The launches for steps of at most `max_rows` rows";
  let description = [{
    A straight line. A buffer lives from the first to the last launch that names
    it. Once `arena_bytes` is set (by `plan-assign-memory`), every arena buffer
    has an offset. The verifier proves that

    - buffers alive at the same launch are disjoint, but for a buffer that a
      launch reads by rows for the last time and one of equal type and offset
      that it starts to write by rows;
    - every buffer is written before it is read;
    - no two tiles of a launch can touch the same bytes with a write.

    ```mlir
    plan.bucket rows 1 arena 384 {
      %h = plan.buffer "h" at 0 : !plan.buffer<tensor<?x96xf32>>
      %table = plan.weight @cpu::@"language_model/in_out_embed/embeddings" : !plan.buffer<tensor<32x96x16x1xf32>>
      plan.launch @embed_0 "embed" (%table, %h) tiles <per_row = 1, max = 1> uses [<read, whole>, <write, rows>]
          : !plan.buffer<tensor<32x96x16x1xf32>>, !plan.buffer<tensor<?x96xf32>>
    }
    ```
  }];
  let arguments = (ins I64Attr:$max_rows, OptionalAttr<I64Attr>:$arena_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`rows` $max_rows (`arena` $arena_bytes^)? attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Plan_BufferOp : Plan_Op<"buffer", [HasParent<"BucketOp">, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "A transient buffer in the arena";
  let description = [{
    `offset` is in bytes from the start of the arena, a multiple of 64.
    `logical` is the shape of one row without padding, for dumps.

    ```mlir
    %q = plan.buffer "q" at 4096 logical [6, 12] : !plan.buffer<tensor<?x6x16xf32>>
    ```
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<I64Attr>:$offset, OptionalAttr<DenseI64ArrayAttr>:$logical);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "$name (`at` $offset^)? (`logical` $logical^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Plan_WeightOp : Plan_Op<"weight", [HasParent<"BucketOp">, Pure,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A packed tensor of a layout as a read-only buffer";
  let description = [{
    ```mlir
    %w = plan.weight @cpu::@"language_model/rms_norm/scale" : !plan.buffer<tensor<96xf32>>
    ```
  }];
  let arguments = (ins SymbolRefAttr:$tensor);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "$tensor attr-dict `:` type($result)";
}

def Plan_KVOp : Plan_Op<"kv", [HasParent<"BucketOp">, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "The pages of the key/value cache, at one layer";
  let description = [{
    Stands for one layer's part of every page. The type holds the bytes of one
    such part (`layer_bytes` of the module's `plan.page`); kernels find the pages
    of a sequence through the step's page table.

    ```mlir
    %kv = plan.kv layer 3 : !plan.buffer<tensor<4224xi8>>
    ```
  }];
  let arguments = (ins I64Attr:$layer);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "`layer` $layer attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Plan_LogitsOp : Plan_Op<"logits", [HasParent<"BucketOp">, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "The output: one row of logits per wanted row";
  let description = [{
    The caller's memory, not the arena's. Its rows are logit rows, of which a
    step has at most as many as token rows.

    ```mlir
    %logits = plan.logits : !plan.buffer<tensor<?x512xf32>>
    ```
  }];
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Plan_LaunchOp : Plan_Op<"launch", [HasParent<"BucketOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a kernel over its tiles; ends before the next launch starts";
  let description = [{
    Operands stand in the order of the kernel's ABI, `uses` beside them. `layer`
    is the layer that the launch belongs to, if any.

    A kernel with one tile per row must allow an operand that it reads by rows
    to be the one that it writes by rows, if their types are equal: it has read a
    row to the end before it stores it.

    ```mlir
    plan.launch @linear_0 "layer0.attention_output" (%o, %w, %w, %a) tiles <constant = 2, max = 2>
        uses [<read, whole>, <read, panels>, <read, panels>, <write, panels>] {layer = 0 : i64}
        : !plan.buffer<tensor<?x96xf32>>, !plan.buffer<tensor<6x96x16x1xf32>>, !plan.buffer<tensor<6x96x16x1xf32>>, !plan.buffer<tensor<?x96xf32>>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, StrAttr:$name, Variadic<Plan_BufferType>:$operands,
                       Plan_TilesAttr:$tiles, TypedArrayAttrBase<Plan_UseAttr, "uses">:$uses,
                       OptionalAttr<I64Attr>:$layer);
  let assemblyFormat = [{
    $kernel $name `(` $operands `)` `tiles` $tiles `uses` custom<Uses>($uses) attr-dict `:` type($operands)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    UseAttr getUse(unsigned operand) { return ::mlir::cast<UseAttr>(getUses()[operand]); }
  }];
}

def Plan_CopyOp : Plan_Op<"copy", [HasParent<"BucketOp">, AllTypesMatch<["source", "target"]>]> {
  let summary = "Copies a whole buffer";
  let description = [{
    ```mlir
    plan.copy %a to %b : !plan.buffer<tensor<?x96xf32>>
    ```
  }];
  let arguments = (ins Plan_BufferType:$source, Plan_BufferType:$target);
  let assemblyFormat = "$source `to` $target attr-dict `:` type($source)";
  let hasVerifier = 1;
}

def Plan_CollectiveOp : Plan_Op<"collective", [HasParent<"BucketOp">, AttrSizedOperandSegments]> {
  let summary = "Moves rows between ranks; ends before the next launch starts";
  let description = [{
    Done by every rank of a group at once. `over` names the axes of the plan's
    sharding along which the ranks of a group differ; members stand in the order
    of their ranks.

    | kind | operands | after it |
    |---|---|---|
    | `all_gather` | source `[?, n]`, target `[?, R * n]` | a target row is the source rows of all R members, one after the other |
    | `all_reduce` | source `[?, n]`, target of equal type, float32 | the sum over the members, as a balanced tree in their order: equal bits on all |
    | `send` | source | the source has gone to the rank at the same place of the next stage (`over` is `["pp"]`) |
    | `receive` | target | the target holds what the rank of the stage before sent |

    Rows are those of the target: token rows, or logit rows.

    ```mlir
    plan.collective "all_gather" "layer0.attention_parts" over ["tp"] 
        reads %a : !plan.buffer<tensor<?x96xf32>> writes %parts : !plan.buffer<tensor<?x2x96xf32>> {layer = 0 : i64}
    ```
  }];
  let arguments = (ins StrAttr:$kind, StrAttr:$name, StrArrayAttr:$over, Optional<Plan_BufferType>:$source,
                       Optional<Plan_BufferType>:$target, OptionalAttr<I64Attr>:$layer);
  let assemblyFormat = [{
    $kind $name `over` $over (`reads` $source^ `:` type($source))? (`writes` $target^ `:` type($target))? attr-dict
  }];
  let hasVerifier = 1;
}

#endif
