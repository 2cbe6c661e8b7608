// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The quantization passes and their registration.
#pragma once

#include "dialects/grok/GrokDialect.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace grok {

#define GEN_PASS_DECL
#include "passes/quantization/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/quantization/Passes.h.inc"

} // namespace grok
