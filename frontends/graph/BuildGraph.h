// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A described model as IR: one function of plain grok ops, layers unrolled.
#pragma once

#include "frontends/graph/Config.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <optional>

namespace grok::graph {

/// Which roundings the module expresses (specification section 3).
/// `fast` is built as f32: what it rounds besides is decided later.
enum class Numerics { f32, bf16, fast };

/// What a cache holds; int8 and fp8 (e4m3) are codes times a scale.
enum class CacheElement { f32, bf16, int8, fp8 };

/// By the names above.
std::optional<CacheElement> cacheElementNamed(llvm::StringRef name);

struct GraphOptions {
  Numerics numerics = Numerics::f32;
  CacheElement cacheElement = CacheElement::f32;
};

/// Builds `func.func @step(tokens, step, cache) -> (logits, cache)` in a module
/// that carries `grok.model` (every number of the description, under its key of
/// config.json) and `grok.numerics`. Weights have the types of `tensors`, which
/// must hold every tensor of the model in the shape that `config` implies. Ops
/// are located by name: "layer3/moe/linear". On failure the context's
/// diagnostics say why and the result is null.
mlir::OwningOpRef<mlir::ModuleOp> buildGraph(mlir::MLIRContext &context, const ModelConfig &config,
                                             const checkpoint::TensorList &tensors,
                                             const GraphOptions &options);

} // namespace grok::graph
