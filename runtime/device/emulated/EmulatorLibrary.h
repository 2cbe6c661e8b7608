// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// libgrok-emulator, opened when a plan is to run without its GPU.
#pragma once

#include "runtime/Result.h"
#include "runtime/device/emulated/EmulatorABI.h"
#include <memory>

namespace grok::runtime {

/// Runs launches, one at a time.
class Emulator {
public:
  /// $GROK_EMULATOR_LIBRARY, or the library beside the runtime's.
  static Result<Emulator> open();

  /// The error is one line: what the kernel did wrong, and where.
  Result<void> launch(const GrokEmulatorLaunch &launch) const;

private:
  struct Functions {
    decltype(&grokEmulatorCreate) create;
    decltype(&grokEmulatorLaunch) launch;
    decltype(&grokEmulatorDestroy) destroy;
  };
  using Handle = std::unique_ptr<GrokEmulator, decltype(&grokEmulatorDestroy)>;
  Emulator(Functions functions, Handle handle) : functions(functions), handle(std::move(handle)) {}

  Functions functions;
  Handle handle;
};

} // namespace grok::runtime
