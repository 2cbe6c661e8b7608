// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The grok dialect: the model as mathematics on tensors, one op per thing that
// the Grok-1 specification names.
#ifndef DIALECTS_GROK_GROKDIALECT_TD
#define DIALECTS_GROK_GROKDIALECT_TD

include "mlir/IR/DialectBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/TensorEncoding.td"

def Grok_Dialect : Dialect {
  let name = "grok";
  let cppNamespace = "::grok";
  let summary = "The Grok-1 model on tensors";
  let description = [{
    One op per step of the model, on tensors whose first dimension is the token
    row (`?`: any number of rows of any mix of sequences). The element type of a
    result is its rounding: an op computes in float32 and rounds once to the
    result's element type, so the same ops express the float32 mode and the
    literal bf16 mode of the released model.

    The fused ops (`fused_*`, `flash_attention`) are what the CPU and GPU
    kernels implement; each decomposes back into the plain ops.

    A module of a model carries `grok.model`, a dictionary of the numbers of its
    description under their keys of config.json, and `grok.numerics`, "f32" or
    "bf16".
  }];
  let hasOperationAttrVerify = 1;
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class Grok_Attr<string name, string mnemonicText, list<Trait> traits = []>
    : AttrDef<Grok_Dialect, name, traits> {
  let mnemonic = mnemonicText;
}

class Grok_Type<string name, string mnemonicText> : TypeDef<Grok_Dialect, name> {
  let mnemonic = mnemonicText;
}

def Grok_FormatAttr : Grok_Attr<"Format", "format",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "How the elements of a quantised tensor are to be read";
  let description = [{
    Encoding of a tensor of integer codes. An element is worth
    `(code - zero_point) * scale[group]`; groups are blocks of
    `group_rows` consecutive positions along the contraction (second to last)
    axis of one column. The scales are part of the tensor: a tensor
    `[.., R, N]` carries scales `[.., R / group_rows, N]`.

    ```mlir
    // Released int8: eight groups of 768 rows per column.
    tensor<6144x6144xi8, #grok.format<bits = 8, group_rows = 768, scale = bf16>>
    ```
    At the end may stand `, zero_point = -8`, or `, codebook = "nf4"` that names
    a table of levels for non-linear codes.
  }];
  let parameters = (ins "unsigned":$bits, "int64_t":$groupRows, "::mlir::Type":$scale,
                        DefaultValuedParameter<"int64_t", "0">:$zeroPoint,
                        DefaultValuedParameter<"::mlir::StringAttr", "::mlir::StringAttr()">:$codebook);
  let assemblyFormat = [{
    `<` `bits` `=` $bits `,` `group_rows` `=` $groupRows `,` `scale` `=` $scale
    `` custom<Levels>($zeroPoint, $codebook) `>`
  }];
  let genVerifyDecl = 1;
}

def Grok_StepType : Grok_Type<"Step", "step"> {
  let summary = "What each row of a step is: its position, sequence and page table";
}

def Grok_CacheType : Grok_Type<"Cache", "cache"> {
  let summary = "The paged key/value cache of all layers";
  let description = [{
    Value of the whole cache: keys (after RoPE) and values of every layer, and
    for each position whether its token may be seen as a key (pad may not).
    `!grok.cache<64 x 8 x 128, f32>` = layers x kv heads x head size x element.
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$kvHeads, "int64_t":$headDim,
                        "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $layers `x` $kvHeads `x` $headDim `,` $elementType `>`";
  let genVerifyDecl = 1;
}

#endif
