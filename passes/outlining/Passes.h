// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The outlining pass, its options and its registration.
#pragma once

#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace grok {

#define GEN_PASS_DECL
#include "passes/outlining/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/outlining/Passes.h.inc"

} // namespace grok
