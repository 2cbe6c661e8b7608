// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The very module that becomes PTX, as code for the host that calls the
// emulator (runtime/device/emulated) wherever a GPU does something special.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <tl/expected.hpp>

namespace grok::compiler {

/// A function that does nothing, but that says what a thread spins for from here on: the
/// counter's address (null: nothing any more), its least value, the task that waits and the
/// one that is awaited, int32.
inline constexpr const char *counterNoteSymbol = "await_counter";

/// `lowered` holds a gpu.module as addLowerKernelToNVVM leaves it; it is not
/// changed. The object defines `symbol` as a GrokEmulatedKernel for its kernel of
/// that name, and imports nothing. Needs a host of level x86-64-v3. An operation
/// that the emulator does not know is an error that names it.
tl::expected<llvm::SmallVector<char, 0>, std::string> translateForEmulator(mlir::ModuleOp lowered,
                                                                           llvm::StringRef symbol);

} // namespace grok::compiler
