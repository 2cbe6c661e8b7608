// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/kernels/KernelHarness.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace grok::compiler::testing {

// ---- buffers and steps

static constexpr uint8_t guardByte = 0xa5;

Buffer::Buffer(size_t bytes) : bytes(bytes) {
  size_t whole = (bytes + 2 * guardBytes + 63) / 64 * 64;
  memory.reset(static_cast<uint8_t *>(std::aligned_alloc(64, whole)));
  std::memset(memory.get(), guardByte, whole);
  std::memset(data(), 0, bytes);
}

bool Buffer::isGuardIntact() const {
  auto isGuard = [](uint8_t byte) { return byte == guardByte; };
  const uint8_t *end = byteData() + bytes;
  return std::all_of(memory.get(), memory.get() + guardBytes, isGuard) &&
         std::all_of(end, end + guardBytes, isGuard);
}

Step Step::ofRows(int64_t rows) {
  Step step;
  for (int64_t row = 0; row < rows; ++row) {
    step.tokens.push_back(1);
    step.positions.push_back(static_cast<int32_t>(row));
    step.sequences.push_back(0);
    step.logitRow.push_back(static_cast<int32_t>(row));
  }
  step.pageTable = {0};
  step.pageTableStride = 1;
  return step;
}

GrokStepInfo Step::info() const {
  return {.rows = static_cast<int64_t>(tokens.size()),
          .tokens = tokens.data(),
          .positions = positions.data(),
          .sequences = sequences.data(),
          .pageTable = pageTable.data(),
          .pageTableStride = pageTableStride,
          .logitRows = static_cast<int64_t>(logitRow.size()),
          .logitRow = logitRow.data(),
          .draws = draws.empty() ? nullptr : draws.data()};
}

// ---- kernels

LoadedImage::LoadedImage(const std::vector<uint8_t> &image) {
  // Open as long as it is loaded: dlopen takes one path to be one library.
  file = memfd_create("kernels", MFD_CLOEXEC);
  if (write(file, image.data(), image.size()) != static_cast<ssize_t>(image.size()))
    throw std::runtime_error("cannot write the shared object");
  library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
}

LoadedImage::~LoadedImage() {
  dlclose(library);
  close(file);
}

GrokKernel LoadedImage::find(const std::string &symbol) const {
  void *address = dlsym(library, symbol.c_str());
  if (!address)
    throw std::runtime_error("no symbol " + symbol);
  return reinterpret_cast<GrokKernel>(address);
}

LoadedKernels::LoadedKernels(const std::vector<NamedKernelSpec> &kernels,
                             const std::string &level) {
  auto code = compileCpuKernels(kernels, {level}, {});
  if (!code)
    throw std::runtime_error(code.error());
  image = std::make_unique<LoadedImage>(code->levels[0].image);
  for (size_t i = 0; i < kernels.size(); ++i)
    scratchBytes[kernels[i].symbol] = code->scratchBytes[i];
}

void LoadedKernels::run(const std::string &symbol, const std::vector<const void *> &buffers,
                        const Step &step, int64_t begin, int64_t end) const {
  Buffer scratch(scratchBytes.at(symbol));
  std::memset(scratch.data(), 0xff, scratch.size()); // NaN: nothing may rely on its contents
  GrokStepInfo info = step.info();
  image->find(symbol)(buffers.data(), &info, begin, end, scratch.data());
  EXPECT_TRUE(scratch.isGuardIntact()) << symbol << " wrote past its scratch memory";
}

std::vector<std::string> hostLevels() {
  std::vector<std::string> names;
  for (const CpuLevel &level : cpuLevels())
    if (canHostRun(level))
      names.push_back(level.name);
  return names;
}

std::vector<std::string> productLevels() {
  std::vector<std::string> names = hostLevels();
  for (const CpuLevel &level : expandedLevels())
    if (canHostRun(level))
      names.push_back(level.name);
  return names;
}

std::string shortName(const std::string &level) { return level.substr(level.rfind('-') + 1); }

// ---- numbers

int64_t paddedTo16(int64_t count) { return (count + 15) / 16 * 16; }

std::mt19937 reproducible(unsigned seed) { return std::mt19937(seed); }

float roundedToBf16(float value) { return fromBf16(bf16Bits(value)); }

uint16_t bf16Bits(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

Buffer randomRows(std::mt19937 &random, int64_t rows, int64_t columns, bool isBf16, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  int64_t stride = paddedTo16(columns);
  Buffer buffer(rows * stride * 4);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      float value = normal(random);
      buffer.floats()[row * stride + column] = isBf16 ? roundedToBf16(value) : value;
    }
  return buffer;
}

// ---- matrices

// Where element (k, column) stands, in elements.
static int64_t packedIndex(const TestMatrix &matrix, int64_t k, int64_t column) {
  int64_t group = matrix.columnGroup, kPack = matrix.format.kPack();
  int64_t padded = column / group * paddedTo16(group) + column % group;
  int64_t panel = padded / 16, lane = padded % 16;
  return ((panel * (matrix.inputs / kPack) + k / kPack) * 16 + lane) * kPack + k % kPack;
}

static int64_t paddedColumnsOf(const TestMatrix &matrix) {
  return matrix.columns / matrix.columnGroup * paddedTo16(matrix.columnGroup);
}

static int64_t scaleIndex(const TestMatrix &matrix, int64_t k, int64_t column) {
  int64_t rowGroup = k / (matrix.inputs / matrix.format.groups), group = matrix.columnGroup;
  return rowGroup * paddedColumnsOf(matrix) + column / group * paddedTo16(group) + column % group;
}

float TestMatrix::scaleAt(int64_t k, int64_t column) const {
  return fromBf16(static_cast<uint16_t *>(scales.data())[scaleIndex(*this, k, column)]);
}

// Stores a random weight and returns the number that it stands for.
static double storeWeight(std::mt19937 &random, TestMatrix &matrix, Numerics numerics, int64_t k,
                          int64_t column, float scale) {
  int64_t at = packedIndex(matrix, k, column);
  if (matrix.format.element == WeightFormat::Element::i8) {
    int quantised = static_cast<int>(random() % 255) - 127;
    reinterpret_cast<int8_t *>(matrix.packed.data())[at] = static_cast<int8_t>(quantised);
    double product = double(quantised) * scale; // exact: 8 and 8 bits
    return numerics == Numerics::bf16 ? roundedToBf16(static_cast<float>(product)) : product;
  }
  float value = std::normal_distribution<float>(0.0f, 1.0f)(random);
  if (matrix.format.element == WeightFormat::Element::bf16) {
    static_cast<uint16_t *>(matrix.packed.data())[at] = bf16Bits(value);
    return roundedToBf16(value);
  }
  matrix.packed.floats()[at] = value;
  return numerics == Numerics::bf16 ? roundedToBf16(value) : value;
}

TestMatrix randomMatrix(std::mt19937 &random, int64_t inputs, int64_t columns,
                        const WeightFormat &format, Numerics numerics, int64_t columnGroup) {
  int64_t group = columnGroup ? columnGroup : columns;
  int64_t padded = columns / group * paddedTo16(group);
  TestMatrix matrix{inputs,
                    columns,
                    group,
                    format,
                    std::vector<double>(inputs * columns),
                    Buffer(padded / 16 * format.panelBytes(inputs)),
                    Buffer(format.groups * padded * 2)};
  auto *scales = static_cast<uint16_t *>(matrix.scales.data());
  for (int64_t column = 0; column < columns; ++column)
    for (int64_t k = 0; k < inputs; ++k) {
      if (k % (inputs / format.groups) == 0)
        scales[scaleIndex(matrix, k, column)] =
            bf16Bits(0.001f + static_cast<float>(random() % 1000) * 1e-5f);
      matrix.values[k * columns + column] =
          storeWeight(random, matrix, numerics, k, column, matrix.scaleAt(k, column));
    }
  return matrix;
}

TestExperts randomExperts(std::mt19937 &random, int64_t experts, int64_t inputs, int64_t columns,
                          const WeightFormat &format, Numerics numerics) {
  std::vector<TestMatrix> matrices;
  matrices.reserve(experts);
  for (int64_t i = 0; i < experts; ++i)
    matrices.push_back(randomMatrix(random, inputs, columns, format, numerics));
  size_t bytes = matrices[0].packed.size(), scaleBytes = matrices[0].scales.size();
  TestExperts all{std::move(matrices), Buffer(experts * bytes), Buffer(experts * scaleBytes)};
  for (int64_t i = 0; i < experts; ++i) {
    std::memcpy(all.packed.byteData() + i * bytes, all.matrices[i].packed.data(), bytes);
    std::memcpy(all.scales.byteData() + i * scaleBytes, all.matrices[i].scales.data(), scaleBytes);
  }
  return all;
}

double dotTolerance(const WeightFormat &format, int64_t inputs, double magnitude) {
  int64_t unitsPerSlice = inputs / format.slices / format.unit;
  double additions =
      static_cast<double>(format.unit + unitsPerSlice + 2) + std::log2(format.slices);
  return 1.01 * additions * std::ldexp(1.0, -24) * magnitude;
}

} // namespace grok::compiler::testing
