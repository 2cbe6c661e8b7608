// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Readable value names: %layer3_moe_linear for the weight of that path.
#include "dialects/grok/GrokDialect.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace grok;

void WeightOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  StringRef path = getPath();
  path.consume_front("transformer/");
  path.consume_front("language_model/");
  path.consume_front("decoder_");
  path.consume_back("/w");
  std::string name;
  bool isInLayerNumber = path.consume_front("layer_");
  if (isInLayerNumber)
    name = "layer";
  for (char c : path)
    name += llvm::isAlnum(c) ? c : '_';
  setName(getResult(), name);
}
