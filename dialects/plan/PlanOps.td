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
    have equal ones.

    ```mlir
    plan.kernel @linear_0 "linear" {in = 96 : i64, out = 96 : i64} operands 4
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$op, DictionaryAttr:$params, I64Attr:$num_operands);
  let assemblyFormat = "$sym_name $op $params `operands` $num_operands attr-dict";
  let hasVerifier = 1;
}

def Plan_LayoutOp : Plan_Op<"layout", [Symbol, SymbolTable, NoTerminator, NoRegionArguments]> {
  let summary = "A weight file: packed tensors in the order kernels stream them";
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let description = [{
    ```mlir
    plan.layout @cpu {
      plan.tensor @"transformer/decoder_layer_0/router/w" {...} : tensor<1x96x16xf32>
    }
    ```
  }];
}

def Plan_TensorOp : Plan_Op<"tensor", [Symbol, HasParent<"LayoutOp">]> {
  let summary = "A packed tensor of a layout";
  let description = [{
    `source` is the checkpoint path (with suffix `.scales` for the scales of a
    quantised tensor, or `rope` for the rotation table that the compiler
    makes); `packing` says how it is ordered: `panel16.kN` (with `column_group`
    columns padded to 16 together; `transposed` for the embedding table),
    `scales16`, `vector16` or `rope`. `unit` and `slices` fix the order of sums.

    ```mlir
    plan.tensor @"language_model/rms_norm/scale" source "language_model/rms_norm/scale" packing "vector16" logical [96] : tensor<96xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$source, StrAttr:$packing,
                       DenseI64ArrayAttr:$logical, TypeAttrOf<AnyRankedTensor>:$type,
                       DefaultValuedAttr<I64Attr, "1">:$row_groups,
                       DefaultValuedAttr<I64Attr, "0">:$unit,
                       DefaultValuedAttr<I64Attr, "1">:$slices,
                       DefaultValuedAttr<I64Attr, "0">:$column_group,
                       UnitAttr:$transposed, OptionalAttr<F64Attr>:$rope_base);
  let assemblyFormat = "$sym_name `source` $source `packing` $packing `logical` $logical attr-dict `:` $type";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Bytes in the weight file: the packed type rounded up to 64.
    int64_t getPaddedBytes();
  }];
}

def Plan_ProgramOp : Plan_Op<"program", [Symbol, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "The step of one rank kind, in buckets of row counts";
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Plan_BucketOp : Plan_Op<"bucket", [NoTerminator, SingleBlock, NoRegionArguments, HasParent<"ProgramOp">]> {
  let summary = "The launches for steps of at most `max_rows` rows";
  let description = [{
    A straight line. A buffer lives from the first to the last launch that names
    it. Once `arena_bytes` is set (by `plan-assign-memory`), every arena buffer
    has an offset; the verifier proves that buffers alive together are disjoint,
    that every buffer is written before it is read, and that no two tiles of a
    launch can touch the same bytes with a write.
  }];
  let arguments = (ins I64Attr:$max_rows, OptionalAttr<I64Attr>:$arena_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`rows` $max_rows (`arena` $arena_bytes^)? attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Plan_BufferOp : Plan_Op<"buffer", [HasParent<"BucketOp">, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "A transient buffer in the arena";
  let description = [{
    ```mlir
    %q = plan.buffer "q" at 4096 : !plan.buffer<tensor<?x6x16xf32>>
    ```
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<I64Attr>:$offset);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "$name (`at` $offset^)? attr-dict `:` type($result)";
}

def Plan_WeightOp : Plan_Op<"weight", [HasParent<"BucketOp">, Pure]> {
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

def Plan_KVOp : Plan_Op<"kv", [HasParent<"BucketOp">]> {
  let summary = "The pages of the key/value cache, at one layer";
  let arguments = (ins I64Attr:$layer);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "`layer` $layer attr-dict `:` type($result)";
}

def Plan_LogitsOp : Plan_Op<"logits", [HasParent<"BucketOp">]> {
  let summary = "The output: one row of logits per wanted row";
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Plan_LaunchOp : Plan_Op<"launch", [HasParent<"BucketOp">]> {
  let summary = "Runs a kernel over its tiles; ends before the next launch starts";
  let description = [{
    ```mlir
    plan.launch @linear_0 "layer0.attention_output" (%o, %w, %w, %a) tiles <constant = 2, max = 2>
        uses [<read, whole>, <read, panels>, <read, panels>, <write, panels>] {layer = 0 : i64}
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, StrAttr:$name, Variadic<Plan_BufferType>:$operands,
                       Plan_TilesAttr:$tiles, TypedArrayAttrBase<Plan_UseAttr, "uses">:$uses,
                       OptionalAttr<I64Attr>:$layer);
  let assemblyFormat = [{
    $kernel $name `(` $operands `)` `tiles` $tiles `uses` $uses attr-dict `:` type($operands)
  }];
  let hasVerifier = 1;
}

def Plan_CopyOp : Plan_Op<"copy", [HasParent<"BucketOp">, AllTypesMatch<["source", "target"]>]> {
  let summary = "Copies a whole buffer";
  let arguments = (ins Plan_BufferType:$source, Plan_BufferType:$target);
  let assemblyFormat = "$source `to` $target attr-dict `:` type($source)";
}

def Plan_CollectiveOp : Plan_Op<"collective", [HasParent<"BucketOp">]> {
  let summary = "A collective over a group of ranks, in place";
  let description = [{
    `kind` is `all_reduce`, `all_gather`, `reduce_scatter` or `all_to_all`; `group`
    lists the ranks. The runtime of this version has one rank and refuses it.
  }];
  let arguments = (ins StrAttr:$kind, Plan_BufferType:$buffer, DenseI64ArrayAttr:$group);
  let assemblyFormat = "$kind $buffer `group` $group attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

#endif
