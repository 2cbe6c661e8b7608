// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Any bytes must give a tensor that lies inside them, or one line of text.
#include "frontends/checkpoint/xai/PickleMachine.h"

#include <cstdlib>

using namespace grok::checkpoint;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void requireInside(const ArrayRecord &array, int64_t size) {
  require(array.offset >= 0 && array.bytes >= 0 && array.offset <= size - array.bytes);
  require(elementsOf(array.shape).value() * sizeOf(array.dtype) == array.bytes);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  MemorySource source(std::as_bytes(std::span(data, size)));
  Result<TensorRecord> record = readTensorPickle(source);
  if (!record) {
    require(!record.error().empty() && record.error().find('\n') == std::string::npos);
    return 0;
  }
  requireInside(record->weight, source.size());
  if (record->scales)
    requireInside(*record->scales, source.size());
  return 0;
}
