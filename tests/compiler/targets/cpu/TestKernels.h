// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Specifications for tests that care about the path, not the arithmetic.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"

namespace grok::compiler::testing {

inline KernelSpec int8Linear(int64_t inputs, int64_t columns, int64_t maxRows) {
  KernelSpec spec;
  spec.maxRows = maxRows;
  spec.in = inputs;
  spec.out = columns;
  spec.weight = WeightFormat::forContraction(WeightFormat::Element::i8, inputs);
  return spec;
}

inline KernelSpec norm(int64_t emb) {
  KernelSpec spec;
  spec.op = KernelOp::rmsNorm;
  spec.emb = emb;
  spec.eps = 1e-5;
  return spec;
}

inline std::vector<std::string> allLevels() {
  std::vector<std::string> names;
  for (const CpuLevel &level : cpuLevels())
    names.push_back(level.name);
  return names;
}

} // namespace grok::compiler::testing
