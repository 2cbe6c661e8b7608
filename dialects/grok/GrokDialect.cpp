// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Registration of the grok dialect, its types and attributes.
#include "dialects/grok/GrokDialect.h"

#include "dialects/grok/Factors.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;

#include "dialects/grok/GrokDialect.cpp.inc"

#include "dialects/grok/GrokInterfaces.cpp.inc"

// Any of `, multiplier_rows = 32`, `, zero_point = 3`, `, codebook = "name"` and
// `, along = last`, in this order.
static ParseResult parseLevels(AsmParser &parser, int64_t &multiplierRows, int64_t &zeroPoint,
                               StringAttr &codebook, bool &alongLast) {
  while (succeeded(parser.parseOptionalComma())) {
    StringRef key;
    SMLoc location = parser.getCurrentLocation();
    if (parser.parseKeyword(&key) || parser.parseEqual())
      return failure();
    ParseResult parsed = success();
    if (key == "multiplier_rows")
      parsed = parser.parseInteger(multiplierRows);
    else if (key == "zero_point")
      parsed = parser.parseInteger(zeroPoint);
    else if (key == "codebook")
      parsed = parser.parseAttribute(codebook);
    else if (key == "along")
      parsed = (alongLast = true, parser.parseKeyword("last"));
    else
      parsed = parser.emitError(location) << "unknown key '" << key << "'";
    if (parsed)
      return failure();
  }
  return success();
}

static void printLevels(AsmPrinter &printer, int64_t multiplierRows, int64_t zeroPoint,
                        StringAttr codebook, bool alongLast) {
  if (multiplierRows != 0)
    printer << ", multiplier_rows = " << multiplierRows;
  if (zeroPoint != 0)
    printer << ", zero_point = " << zeroPoint;
  if (codebook)
    printer << ", codebook = " << codebook;
  if (alongLast)
    printer << ", along = last";
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
