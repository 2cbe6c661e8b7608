// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace grok::compiler {

/// Links object files, in order, into one shared object without imports, by
/// lld inside this process. The bytes depend on the objects alone. Serialised
/// by a lock: lld has global state, and resets every llvm::cl::opt.
tl::expected<std::vector<uint8_t>, std::string>
linkSharedObject(llvm::ArrayRef<llvm::StringRef> objects);

} // namespace grok::compiler
