// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs what a generator makes of one vector, as a kernel of nothing else.
#pragma once

#include "compiler/kernels/KernelBuilder.h"
#include "compiler/targets/cpu/KernelCompiler.h"
#include "compiler/targets/cpu/SharedObjectLinker.h"
#include "tests/compiler/kernels/KernelHarness.h"

namespace grok::compiler::testing {

using VectorFunction = Value (*)(VectorBuilder &, Value);

/// y[i] = function(x[i]), 16 at a time; a tile is a vector.
inline std::vector<float> applyTo(const std::vector<float> &x, VectorFunction function,
                                  const std::string &levelName) {
  const CpuLevel &level = *cpuLevelNamed(levelName);
  auto generate = [&](mlir::ModuleOp module, llvm::StringRef symbol) {
    KernelSpec frame; // only its operand count matters: x and y
    frame.op = KernelOp::embed;
    KernelBuilder kernel(module, symbol, frame, level.tiles);
    kernel.forTiles([&](Value tile) {
      Value input = kernel.load(kernel.floats, kernel.rowAddress(kernel.operand(0), tile, 64));
      kernel.store(function(kernel, input), kernel.rowAddress(kernel.operand(1), tile, 64));
    });
    return kernel.scratchBytes();
  };
  auto compiled = KernelCompiler("").compile("f", level, generate);
  if (!compiled)
    throw std::runtime_error(compiled.error());
  auto image =
      linkSharedObject({llvm::StringRef(compiled->object.data(), compiled->object.size())});
  if (!image)
    throw std::runtime_error(image.error());
  LoadedImage library(*image);
  const int64_t vectors = (static_cast<int64_t>(x.size()) + 15) / 16;
  Buffer in = Buffer::ofWords(16 * vectors), out = Buffer::ofWords(16 * vectors);
  std::copy(x.begin(), x.end(), in.floats());
  const void *const buffers[] = {in.data(), out.data()};
  GrokStepInfo step = Step::ofRows(1).info();
  library.find("f")(buffers, &step, 0, vectors, nullptr);
  return {out.floats(), out.floats() + x.size()};
}

} // namespace grok::compiler::testing
