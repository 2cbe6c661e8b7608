// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rules of the format that its syntax cannot break, but a builder can.
#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace grok;

TEST(FormatTest, HasNoZeroPointBesideACodebook) {
  MLIRContext context;
  context.loadDialect<GrokDialect>();
  std::string error;
  const ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  Builder builder(&context);
  auto codebook = builder.getStringAttr("nf4");
  auto emit = [&] { return emitError(builder.getUnknownLoc()); };
  EXPECT_TRUE(
      failed(FormatAttr::verify(emit, 4, 32, builder.getBF16Type(), 0, 8, codebook, false)));
  EXPECT_EQ(error, "expects no zero_point beside a codebook, found 8");
  EXPECT_TRUE(
      succeeded(FormatAttr::verify(emit, 4, 32, builder.getBF16Type(), 0, 0, codebook, false)));
}
