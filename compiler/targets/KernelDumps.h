// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A folder that gets what a kernel is at each step, for people to read.
#pragma once

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <tl/expected.hpp>

namespace grok::compiler {

/// Makes the folder; an error is one line. No name: nothing is dumped.
tl::expected<void, std::string> makeDumpFolder(const std::string &folder);

/// Writes folder/name by `print`. A dump that cannot be written never fails a compile.
void writeDump(const std::string &folder, const std::string &name,
               llvm::function_ref<void(llvm::raw_ostream &)> print);

} // namespace grok::compiler
