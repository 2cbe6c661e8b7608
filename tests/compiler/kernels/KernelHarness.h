// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What kernel tests share: buffers with guarded ends, steps, and kernels
// compiled and loaded into this process.
#pragma once

#include "compiler/targets/cpu/CpuKernels.h"
#include "runtime/plan/KernelABI.h"

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace grok::compiler::testing {

/// Zeroed memory, 64-byte aligned, between two guard zones that must stay as
/// they are.
class Buffer {
public:
  explicit Buffer(size_t bytes);
  static Buffer ofWords(int64_t count) { return Buffer(count * 4); }
  Buffer(Buffer &&) = default;
  Buffer &operator=(Buffer &&) = default;

  void *data() const { return memory.get() + guardBytes; }
  size_t size() const { return bytes; }
  float *floats() const { return static_cast<float *>(data()); }
  int32_t *words() const { return static_cast<int32_t *>(data()); }
  uint8_t *byteData() const { return static_cast<uint8_t *>(data()); }
  bool isGuardIntact() const;
  bool operator==(const Buffer &other) const {
    return bytes == other.bytes && std::memcmp(data(), other.data(), bytes) == 0;
  }

private:
  static constexpr size_t guardBytes = 256;
  struct Free {
    void operator()(uint8_t *memory) const { std::free(memory); }
  };
  size_t bytes;
  std::unique_ptr<uint8_t, Free> memory;
};

/// The rows of one step and the arrays behind GrokStepInfo.
struct Step {
  std::vector<int32_t> tokens, positions, sequences, pageTable, logitRow;
  int64_t pageTableStride = 0;
  std::vector<GrokDraw> draws; // of the rows of logits; none: nothing is drawn

  /// Rows at positions 0, 1, .. of sequence 0, tokens 1, logits of all.
  static Step ofRows(int64_t rows);
  GrokStepInfo info() const;
};

/// A shared object loaded from memory.
class LoadedImage {
public:
  explicit LoadedImage(const std::vector<uint8_t> &image);
  ~LoadedImage();
  LoadedImage(const LoadedImage &) = delete;
  GrokKernel find(const std::string &symbol) const;

private:
  int file;
  void *library;
};

/// Kernels of one level.
class LoadedKernels {
public:
  LoadedKernels(const std::vector<NamedKernelSpec> &kernels, const std::string &level);

  /// Runs tiles [begin, end) and checks that scratch stays within its bounds.
  void run(const std::string &symbol, const std::vector<const void *> &buffers, const Step &step,
           int64_t begin, int64_t end) const;

private:
  std::unique_ptr<LoadedImage> image;
  std::map<std::string, int64_t> scratchBytes;
};

/// Names of the levels that this machine executes.
std::vector<std::string> hostLevels();

/// Those and the levels that exist for tests alone (expandedLevels).
std::vector<std::string> productLevels();

/// A short name for TEST_P cases: "v3".
std::string shortName(const std::string &level);

int64_t paddedTo16(int64_t count);

/// The same numbers in every run.
std::mt19937 reproducible(unsigned seed);

/// Activations: float32 rows padded with zeros.
Buffer randomRows(std::mt19937 &random, int64_t rows, int64_t columns, bool isBf16,
                  float scale = 1.0f);

float roundedToBf16(float value);
uint16_t bf16Bits(float value);
float fromBf16(uint16_t bits);

/// A random matrix and its packed form (docs/packing.md).
struct TestMatrix {
  int64_t inputs, columns, columnGroup;
  WeightFormat format;
  std::vector<double> values; // [inputs][columns], what a kernel must use
  Buffer packed, scales;

  double at(int64_t k, int64_t column) const { return values[k * columns + column]; }
  float scaleAt(int64_t k, int64_t column) const;
};
TestMatrix randomMatrix(std::mt19937 &random, int64_t inputs, int64_t columns,
                        const WeightFormat &format, Numerics numerics, int64_t columnGroup = 0);

/// Several matrices of one shape behind each other, as experts are stored.
struct TestExperts {
  std::vector<TestMatrix> matrices;
  Buffer packed, scales;
};
TestExperts randomExperts(std::mt19937 &random, int64_t experts, int64_t inputs, int64_t columns,
                          const WeightFormat &format, Numerics numerics);

/// Bound of the rounding error of a float32 sum of products in the order of
/// `format`: a product passes through one addition per k of its unit, one per
/// unit of its slice, one per level of the tree, and its own rounding and
/// scaling. Each rounds by at most 2^-24 of a partial sum, which is at most
/// `magnitude` = sum of |x w|; 1.01 covers second-order terms.
double dotTolerance(const WeightFormat &format, int64_t inputs, double magnitude);

} // namespace grok::compiler::testing
