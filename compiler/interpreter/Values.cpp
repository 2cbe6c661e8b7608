// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Construction of run-time values.
#include "compiler/interpreter/Values.h"

using namespace grok::interpreter;

Tensor::Tensor(std::vector<int64_t> extents) : shape(std::move(extents)) {
  size_t count = 1;
  for (int64_t extent : shape)
    count *= static_cast<size_t>(extent);
  values.resize(count);
}

Cache Cache::empty(int64_t layers) {
  return {std::vector<std::shared_ptr<const Layer>>(layers, std::make_shared<const Layer>())};
}
