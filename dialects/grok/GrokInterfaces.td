// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What passes may ask of any grok op.
#ifndef DIALECTS_GROK_GROKINTERFACES_TD
#define DIALECTS_GROK_GROKINTERFACES_TD

include "mlir/IR/OpBase.td"

def Grok_CostInterface : OpInterface<"CostInterface"> {
  let cppNamespace = "::grok";
  let description = [{
    Bytes moved and arithmetic done, computed from the op's own types, for a
    step of `rows` rows that each see `context` keys.
  }];
  let methods = [
    InterfaceMethod<"Weight, activation and cache bytes and floating-point operations.",
      "::grok::Cost", "getCost", (ins "int64_t":$rows, "int64_t":$context)>
  ];
}

def Grok_FusedInterface : OpInterface<"FusedInterface"> {
  let cppNamespace = "::grok";
  let description = "An op that stands for a chain of plain grok ops.";
  let methods = [
    InterfaceMethod<[{
      Builds the plain ops at the builder's insertion point and returns one
      value per result. The op itself is left alone.
    }], "::llvm::SmallVector<::mlir::Value>", "decompose", (ins "::mlir::OpBuilder &":$builder)>
  ];
}

#endif
