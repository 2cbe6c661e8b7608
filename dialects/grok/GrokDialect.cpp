// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Registration of the grok dialect, its types and attributes.
#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;

#include "dialects/grok/GrokDialect.cpp.inc"

#include "dialects/grok/GrokInterfaces.cpp.inc"

// `, zero_point = 3` or `, codebook = "name"` or nothing.
static ParseResult parseLevels(AsmParser &parser, int64_t &zeroPoint, StringAttr &codebook) {
  if (failed(parser.parseOptionalComma()))
    return success();
  if (succeeded(parser.parseOptionalKeyword("zero_point")))
    return failure(parser.parseEqual() || parser.parseInteger(zeroPoint));
  return failure(parser.parseKeyword("codebook") || parser.parseEqual() ||
                 parser.parseAttribute(codebook));
}

static void printLevels(AsmPrinter &printer, int64_t zeroPoint, StringAttr codebook) {
  if (zeroPoint != 0)
    printer << ", zero_point = " << zeroPoint;
  if (codebook)
    printer << ", codebook = " << codebook;
}

#define GET_ATTRDEF_CLASSES
#include "dialects/grok/GrokAttributes.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/grok/GrokTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/grok/GrokOps.cpp.inc"

void GrokDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/grok/GrokAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/grok/GrokTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/grok/GrokOps.cpp.inc"
      >();
}
