// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The texts of this folder's machine files, compiled in.
#pragma once

#include <span>
#include <string_view>

namespace grok::machines {

struct EmbeddedMachine {
  std::string_view name, text;
};

std::span<const EmbeddedMachine> embeddedMachines();

} // namespace grok::machines
