// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The results of every op, as files.
#pragma once

#include "compiler/interpreter/Interpreter.h"
#include "runtime/Result.h"

namespace grok::tools {

/// Writes FOLDER/STEP/layer3.moe.linear.npy and so on. Steps count from 0; one
/// begins with each run of a function's first op, so that every stage of a
/// pipeline has its own. Of ranks, the first is seen; a sum over ranks takes the
/// place of the op whose parts it adds. An op with several tensors
/// as results has one file each, `.0`, `.1`. Weights and the cache are left
/// out, as are the plain ops that a fused one consists of.
class OpDump {
public:
  explicit OpDump(std::string folder) : folder(std::move(folder)) {}

  void observe(mlir::Operation &op, llvm::ArrayRef<const interpreter::Value *> results);
  /// The first failure to write, if any.
  const runtime::Result<void> &status() const { return written; }

private:
  runtime::Result<void> write(const std::string &place, const interpreter::Value &value) const;

  std::string folder;
  int64_t step = -1;
  runtime::Result<void> written;
};

} // namespace grok::tools
