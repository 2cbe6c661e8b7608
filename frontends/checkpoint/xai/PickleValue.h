// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The values that a tensor's pickle can build: plain data, five globals and the
// three kinds of object made from them. Nothing here can run code.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

#include <optional>
#include <utility>
#include <variant>

namespace grok::checkpoint {

/// Where the bytes of one array stand in its file.
struct ArrayRecord {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  int64_t offset = 0; // bytes from the beginning of the file; any alignment
  int64_t bytes = 0;
};

/// One leaf of a checkpoint: a plain array, or a weight with its scales.
struct TensorRecord {
  ArrayRecord weight;
  std::optional<ArrayRecord> scales;
};

namespace pickle {

/// Index of a value on the heap. Values refer to each other by it, so sharing
/// through the memo needs no pointers and cycles are harmless: nothing walks
/// deeper than the shapes that `Objects.h` asks for.
using Ref = uint32_t;

struct None {};
/// Bytes that stay in the file.
struct Bytes {
  int64_t offset = 0;
  int64_t size = 0;
};
struct Tuple {
  std::vector<Ref> items;
};
struct Dict {
  std::vector<std::pair<Ref, Ref>> items;
};
enum class Global { quantizedWeight, reconstruct, ndarray, dtype, bfloat16 };
/// A dtype is usable only once BUILD told its byte order; likewise an array.
struct DTypeObject {
  DType dtype;
  bool built = false;
};
struct ArrayObject {
  std::optional<ArrayRecord> record;
};
struct PairObject {
  std::optional<TensorRecord> record;
};

using Value = std::variant<None, bool, int64_t, std::string, Bytes, Tuple, Dict, Global,
                           DTypeObject, ArrayObject, PairObject>;
using Heap = std::vector<Value>;

/// "a tuple", "an integer", ...: for messages.
std::string_view kindOf(const Value &value);

} // namespace pickle
} // namespace grok::checkpoint
