// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A checkpoint as the interpreter's source of weights.
#include "compiler/interpreter/CheckpointWeights.h"

#include "llvm/ADT/StringMap.h"

namespace grok::interpreter {

WeightSource weightsOf(const checkpoint::Checkpoint &checkpoint) {
  auto read = std::make_shared<llvm::StringMap<WeightBytes>>();
  return [&checkpoint, read](std::string_view path) -> Result<WeightBytes> {
    auto known = read->find(path);
    if (known != read->end())
      return known->second;
    auto data = checkpoint.read(path);
    if (!data)
      return tl::unexpected(data.error());
    std::shared_ptr<const checkpoint::TensorData> owner = std::move(*data);
    WeightBytes bytes{owner->weight(), owner->scales(), owner};
    (*read)[path] = bytes;
    return bytes;
  };
}

} // namespace grok::interpreter
