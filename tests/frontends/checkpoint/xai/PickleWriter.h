// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes pickles opcode by opcode, right or wrong as a test likes, and whole
// tensors exactly as Python and NumPy write them.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"
#include "frontends/checkpoint/xai/Opcodes.h"

#include <map>
#include <string>

namespace grok::checkpoint {

/// A string of opcodes. Every value that Python would remember is memoised.
class PickleWriter {
public:
  PickleWriter() { op(Opcode::proto).byte(4); }

  PickleWriter &op(Opcode code) { return byte(static_cast<uint8_t>(code)); }
  PickleWriter &byte(uint8_t value);
  /// `width` bytes, little-endian.
  PickleWriter &number(uint64_t value, int width);
  PickleWriter &raw(std::string_view bytes);
  PickleWriter &text(std::string_view value);
  PickleWriter &integer(int64_t value);
  PickleWriter &payload(std::string_view bytes);
  PickleWriter &memoize();
  /// By STACK_GLOBAL the first time, then from the memo.
  PickleWriter &global(const std::string &module, const std::string &name);
  std::string stop();
  uint32_t memoised() const { return memoSize; }

  std::string bytes;

private:
  uint32_t memoSize = 0;
  std::map<std::string, uint32_t> globals;
};

/// One array. Fields that a test spoils have the right value by default.
struct ArraySpec {
  std::string dtype = "f4"; // or "i1", "bf16", or anything wrong
  std::vector<int64_t> shape;
  std::string payload;
  std::string byteOrder; // that of the dtype if empty
  bool fortran = false;
  std::string multiarray = "numpy.core.multiarray";
};

/// An array of that many bytes of `fill`.
ArraySpec arrayOf(DType dtype, std::vector<int64_t> shape, char fill = 1);

void writeArray(PickleWriter &writer, const ArraySpec &array);
std::string arrayPickle(const ArraySpec &array);
std::string pairPickle(const ArraySpec &weight, const ArraySpec &scales,
                       const std::string &module = "__main__");
/// The file of a tensor, with bytes that are legal values.
std::string tensorPickle(const TensorInfo &tensor);

} // namespace grok::checkpoint
