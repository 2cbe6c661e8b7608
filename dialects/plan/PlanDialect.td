// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The plan dialect: when and where. Its types and attributes.
#ifndef DIALECTS_PLAN_PLANDIALECT_TD
#define DIALECTS_PLAN_PLANDIALECT_TD

include "mlir/IR/DialectBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::grok::plan";
  let summary = "Buffers, kernels and launches of a compiled step";
  let description = [{
    A module at this level holds kernels (`plan.kernel`), layouts of packed
    weights (`plan.layout`) and programs (`plan.program`): straight lines of
    launches over named buffers, one per bucket of row counts. The plan file is
    a one-to-one walk of it.

    Every launch says for each operand whether it reads or writes it and which
    part a tile touches, so that the verifier proves lifetimes and races.

    The module says for which runs the plan is made:

    ```mlir
    module attributes {
      plan.page = {tokens = 32 : i64, bytes = 8448 : i64, layer_bytes = 4224 : i64, kv = "f32"},
      plan.max_context = 8192 : i64, plan.max_step_rows = 512 : i64} {}
    ```
  }];
  let hasOperationAttrVerify = 1;
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class Plan_Attr<string name, string mnemonicText> : AttrDef<Plan_Dialect, name> {
  let mnemonic = mnemonicText;
}

def Plan_Access : I32EnumAttr<"Access", "how a launch uses an operand", [
    I32EnumAttrCase<"read", 1>, I32EnumAttrCase<"write", 2>,
    I32EnumAttrCase<"read_write", 3>]> {
  let cppNamespace = "::grok::plan";
  let genSpecializedAttr = 0;
}

def Plan_Range : I32EnumAttr<"Range", "which part of an operand a tile touches", [
    I32EnumAttrCase<"whole", 0>, I32EnumAttrCase<"rows", 1>,
    I32EnumAttrCase<"panels", 2>]> {
  let cppNamespace = "::grok::plan";
  let genSpecializedAttr = 0;
}

def Plan_UseAttr : Plan_Attr<"Use", "use"> {
  let summary = "Access and per-tile range of one launch operand";
  let description = [{
    `whole`: any tile may touch all of it. `rows`: a tile belongs to one row and
    touches only its part of that row. `panels`: a tile belongs to a block of
    columns, of one expert or head where there are several, and touches only
    those. By rows and by panels tiles never meet.
    Example: `#plan.use<write, rows>`.
  }];
  let parameters = (ins EnumParameter<Plan_Access>:$access, EnumParameter<Plan_Range>:$range);
  let assemblyFormat = "`<` $access `,` $range `>`";
}

def Plan_TilesAttr : Plan_Attr<"Tiles", "tiles"> {
  let summary = "Number of tiles of a launch";
  let description = [{
    `per_row * rows + per_logit_row * logit rows + constant`, or the int32 at
    index `element` of the launch's operand number `operand`; never above `max`.

    ```mlir
    #plan.tiles<constant = 96, max = 96>
    #plan.tiles<per_row = 1, max = 512>
    #plan.tiles<operand = 5, element = 1, max = 4096>
    ```
  }];
  let parameters = (ins DefaultValuedParameter<"int64_t", "0">:$per_row,
                        DefaultValuedParameter<"int64_t", "0">:$per_logit_row,
                        DefaultValuedParameter<"int64_t", "0">:$constant,
                        DefaultValuedParameter<"int64_t", "-1">:$operand,
                        DefaultValuedParameter<"int64_t", "0">:$element,
                        "int64_t":$max);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Plan_MachineAttr : Plan_Attr<"Machine", "machine"> {
  let summary = "What the planner knows of the target: memory, rates, links";
  let description = [{
    One device kind and how its devices are linked. Rates in bytes or operations
    per second, latencies in seconds. `peak` maps a number format to its peak.

    ```mlir
    #plan.machine<"host", devices = 1, memory = 25769803776, read = 2.0e10 : f64,
                  peak = {f32 = 2.0e11 : f64}, link_latency = 0.0 : f64, link_rate = 0.0 : f64>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$devices, "int64_t":$memory,
                        "::mlir::FloatAttr":$read, "::mlir::DictionaryAttr":$peak,
                        "::mlir::FloatAttr":$link_latency, "::mlir::FloatAttr":$link_rate);
  let assemblyFormat = [{
    `<` $name `,` `devices` `=` $devices `,` `memory` `=` $memory `,` `read` `=` $read `,`
    `peak` `=` $peak `,` `link_latency` `=` $link_latency `,` `link_rate` `=` $link_rate `>`
  }];
  let genVerifyDecl = 1;
}

def Plan_BufferType : TypeDef<Plan_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "Memory that launches read and write";
  let description = [{
    Holds a tensor, padding included; a leading `?` is the token row (or selected
    pair) and counts up to the bucket's maximum. A quantised tensor (a format
    encoding) has two named parts, `values` and `scales`, one after the other.

    `!plan.buffer<tensor<?x96xf32>>`
  }];
  let parameters = (ins "::mlir::RankedTensorType":$tensor);
  let assemblyFormat = "`<` $tensor `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// A part of the buffer: offset and size in bytes, at `rows` rows.
    struct Part { ::llvm::StringRef name; int64_t offset; int64_t bytes; };
    ::llvm::SmallVector<Part> getParts(int64_t rows) const;
    /// Bytes at `rows` rows, rounded up to 64.
    int64_t getBytes(int64_t rows) const;
    bool isPerRow() const;
  }];
}

#endif
