// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How plan ops print: names of values and the short form of uses.
#include "dialects/plan/PlanDialect.h"

using namespace mlir;
using namespace grok::plan;

/// Parses `[<read, whole>, <write, rows>]`.
static ParseResult parseUses(OpAsmParser &parser, ArrayAttr &uses) {
  SmallVector<Attribute> parsed;
  auto parseUse = [&]() -> ParseResult {
    parsed.push_back(UseAttr::parse(parser, Type()));
    return success(parsed.back() != nullptr);
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square, parseUse))
    return failure();
  uses = parser.getBuilder().getArrayAttr(parsed);
  return success();
}

static void printUses(OpAsmPrinter &printer, Operation *, ArrayAttr uses) {
  printer << "[";
  llvm::interleaveComma(uses.getAsRange<UseAttr>(), printer,
                        [&](UseAttr use) { use.print(printer); });
  printer << "]";
}

#define GET_OP_CLASSES
#include "dialects/plan/PlanOps.cpp.inc"

void BufferOp::getAsmResultNames(OpAsmSetValueNameFn setName) { setName(getResult(), getName()); }

void KVOp::getAsmResultNames(OpAsmSetValueNameFn setName) { setName(getResult(), "kv"); }

void LogitsOp::getAsmResultNames(OpAsmSetValueNameFn setName) { setName(getResult(), "logits"); }

/// Checkpoint paths are long; what tells one weight of a launch from another is
/// their last two parts: "query_w", "rms_norm_scale".
void WeightOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  StringRef path = getTensor().getLeafReference().getValue();
  auto [rest, leaf] = path.rsplit('/');
  if (leaf.empty())
    return setName(getResult(), path);
  setName(getResult(), (rest.rsplit('/').second.empty() ? rest : rest.rsplit('/').second).str() +
                           "_" + leaf.str());
}
