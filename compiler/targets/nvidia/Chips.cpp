// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Chips.h"

#include <vector>

namespace grok::compiler {

llvm::ArrayRef<NvidiaChip> nvidiaChips() {
  static const std::vector<NvidiaChip> chips = {
      {"sm_80", "+ptx80", 8, 0, true, 163 * 1024, 108, false, false},
      {"sm_90a", "+ptx80", 9, 0, false, 227 * 1024, 132, true, true},
      {"sm_100a", "+ptx86", 10, 0, false, 227 * 1024, 148, true, true},
  };
  return chips;
}

const NvidiaChip *nvidiaChipNamed(llvm::StringRef name) {
  for (const NvidiaChip &chip : nvidiaChips())
    if (chip.name == name)
      return &chip;
  return nullptr;
}

} // namespace grok::compiler
