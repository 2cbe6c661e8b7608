// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reading stored weights.
#include "compiler/interpreter/Matrix.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/Support/ErrorHandling.h"
#include <cstring>

using namespace grok::interpreter;

int64_t grok::interpreter::sizeOf(StoredType type) {
  switch (type) {
  case StoredType::f32:
    return 4;
  case StoredType::bf16:
  case StoredType::f16:
    return 2;
  case StoredType::i8:
    return 1;
  }
  llvm_unreachable("all stored types are listed");
}

static float readHalf(const std::byte *bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  llvm::APFloat half(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits));
  return half.convertToFloat();
}

// Element `index` of a float type.
static float readFloat(StoredType type, const std::byte *bytes, int64_t index) {
  bytes += index * sizeOf(type);
  if (type == StoredType::f16)
    return readHalf(bytes);
  if (type == StoredType::bf16) {
    uint16_t bits;
    std::memcpy(&bits, bytes, sizeof bits);
    return fromBF16(bits);
  }
  float value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

static int64_t product(const std::vector<int64_t> &extents) {
  int64_t count = 1;
  for (int64_t extent : extents)
    count *= extent;
  return count;
}

int64_t Matrix::weightSize() const { return product(shape) * sizeOf(type); }

int64_t Matrix::scalesSize() const {
  return groupRows == 0 ? 0 : product(shape) / groupRows * sizeOf(scaleType);
}

void Matrix::read(int64_t row, int64_t begin, int64_t end, Rounding rounding, float *values) const {
  int64_t first = row * columns();
  if (groupRows == 0) {
    for (int64_t column = begin; column < end; ++column)
      values[column - begin] =
          round(readFloat(type, bytes.weight.data(), first + column), rounding);
    return;
  }
  // Groups are whole in every matrix of a stack, so folding keeps them apart.
  int64_t firstScale =
      scalesAlongLast ? row * (columns() / groupRows) : row / groupRows * columns();
  auto *codes = reinterpret_cast<const int8_t *>(bytes.weight.data());
  for (int64_t column = begin; column < end; ++column) {
    auto code = static_cast<float>(codes[first + column] - zeroPoint);
    int64_t group = firstScale + (scalesAlongLast ? column / groupRows : column);
    float scale = readFloat(scaleType, bytes.scales.data(), group);
    values[column - begin] = round(code * scale, rounding);
  }
}
