// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/outlining/KernelTable.h"

using namespace mlir;
using namespace grok::plan;

FlatSymbolRefAttr KernelTable::get(Location loc, StringRef op, DictionaryAttr params,
                                   int64_t numOperands) {
  FlatSymbolRefAttr &symbol = kernels[{builder.getStringAttr(op), params}];
  if (!symbol) {
    std::string name = (op + "_" + Twine(count[op]++)).str();
    auto kernel = KernelOp::create(builder, loc, name, op, params, numOperands);
    symbol = FlatSymbolRefAttr::get(kernel);
  }
  return symbol;
}
