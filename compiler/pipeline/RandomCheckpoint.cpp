// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Pseudo-random weights by a counter-based generator, so that any tensor can be
// made alone and in parallel.
#include "compiler/pipeline/RandomCheckpoint.h"

#include <bit>
#include <cmath>
#include <cstring>

using namespace grok;
using namespace grok::checkpoint;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, OOPSLA 2014).
static uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

static uint64_t seedOf(uint64_t seed, std::string_view name) {
  for (char c : name)
    seed = mix(seed ^ static_cast<unsigned char>(c));
  return seed;
}

static uint16_t toBFloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

namespace {
class RandomTensor : public TensorData {
public:
  RandomTensor(const TensorInfo &info, uint64_t seed)
      : weightBytes(info.weightBytes()), scaleBytes(info.scaleBytes()) {
    if (info.dtype == DType::i8)
      fillCodes(seed);
    else
      fillFloats(info, seed);
    fillScales(info);
  }
  std::span<const std::byte> weight() const override { return weightBytes; }
  std::span<const std::byte> scales() const override { return scaleBytes; }
  void release(int64_t, int64_t) const override {}
  Result<void> checkUnchanged() const override { return {}; }

private:
  void fillCodes(uint64_t seed) {
    for (size_t i = 0; i < weightBytes.size(); i += 8) {
      uint64_t bits = mix(seed + i);
      // -128 does not occur in quantised weights.
      for (int byte = 0; byte < 8; ++byte)
        if ((bits >> (8 * byte) & 0xff) == 0x80)
          bits ^= uint64_t(1) << (8 * byte);
      std::memcpy(&weightBytes[i], &bits, std::min<size_t>(8, weightBytes.size() - i));
    }
  }
  void fillFloats(const TensorInfo &info, uint64_t seed) {
    // Uniform in (-sqrt 3, sqrt 3) has deviation 1.
    float spread = info.shape.size() == 1
                       ? 0.0f
                       : std::sqrt(3.0f / static_cast<float>(info.shape[info.shape.size() - 2]));
    if (info.name.ends_with("embeddings"))
      spread = 1.0f;
    float centre = info.shape.size() == 1 ? 1.0f : 0.0f;
    for (int64_t i = 0; i < info.elements(); ++i) {
      float unit = static_cast<float>(mix(seed + i) >> 40) * 0x1p-23f - 1.0f;
      float value = centre + spread * unit;
      uint16_t half = toBFloat16(value);
      if (info.dtype == DType::bf16)
        std::memcpy(&weightBytes[i * 2], &half, 2);
      else
        std::memcpy(&weightBytes[i * 4], &value, 4);
    }
  }
  void fillScales(const TensorInfo &info) {
    if (!info.quantised)
      return;
    // Codes have deviation 73.6.
    float scale = 1.0f / (73.6f * std::sqrt(static_cast<float>(info.shape[info.shape.size() - 2])));
    uint16_t half = toBFloat16(scale);
    for (size_t i = 0; i < scaleBytes.size(); i += 2)
      std::memcpy(&scaleBytes[i], &half, 2);
  }
  std::vector<std::byte> weightBytes, scaleBytes;
};

class RandomCheckpoint : public Checkpoint {
public:
  RandomCheckpoint(TensorList tensors, uint64_t seed) : list(std::move(tensors)), seed(seed) {}
  const TensorList &tensors() const override { return list; }
  Result<std::unique_ptr<TensorData>> read(std::string_view name) const override {
    for (const TensorInfo &info : list)
      if (info.name == name)
        return std::make_unique<RandomTensor>(info, seedOf(seed, name));
    return tl::unexpected("random weights: no tensor " + std::string(name));
  }

private:
  TensorList list;
  uint64_t seed;
};
} // namespace

std::unique_ptr<Checkpoint> compiler::makeRandomCheckpoint(TensorList tensors, uint64_t seed) {
  return std::make_unique<RandomCheckpoint>(std::move(tensors), seed);
}
