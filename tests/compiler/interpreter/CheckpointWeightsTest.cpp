// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The interpreter reads what the encoder made of a checkpoint.
#include "compiler/interpreter/CheckpointWeights.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace grok;
using namespace grok::interpreter;
using quantization::EncodedMatrix;
using quantization::MatrixFormat;
using quantization::MatrixSource;

namespace {
class Stored : public checkpoint::TensorData {
public:
  std::span<const std::byte> weight() const override { return std::as_bytes(std::span(codes)); }
  std::span<const std::byte> scales() const override { return std::as_bytes(std::span(factors)); }
  void release(int64_t, int64_t) const override {}
  checkpoint::Result<void> checkUnchanged() const override { return {}; }

  std::vector<int8_t> codes = {1, 2, 3, 4, 5, 6, 7, 8}; // [2][2][2]
  std::vector<uint16_t> factors = {10, 20, 30, 40};     // [2][1][2]
};

class TwoExperts : public checkpoint::Checkpoint {
public:
  TwoExperts() {
    checkpoint::TensorInfo info;
    info.name = "experts";
    info.dtype = checkpoint::DType::i8;
    info.shape = {2, 2, 2};
    info.quantised = true;
    info.scaleShape = {2, 1, 2};
    list.push_back(info);
  }
  const checkpoint::TensorList &tensors() const override { return list; }
  checkpoint::Result<std::unique_ptr<checkpoint::TensorData>>
  read(std::string_view name) const override {
    if (name != "experts")
      return tl::unexpected(std::string(name) + ": not here");
    ++reads;
    return std::make_unique<Stored>();
  }
  mutable int reads = 0;

private:
  checkpoint::TensorList list;
};

/// Codes are the stored ones plus the format's bits; multipliers -2 and 3.
class Marking : public quantization::MatrixEncoder {
public:
  quantization::Result<EncodedMatrix> encode(const MatrixSource &source,
                                             const MatrixFormat &target) const override {
    EncodedMatrix matrix{target, source.rows(), source.columns(), {}, {}, {}};
    for (std::byte byte : source.weight)
      matrix.codes.push_back(
          static_cast<int8_t>(static_cast<int>(byte) + quantization::bitsOf(target.kind)));
    if (target.multiplierRows)
      matrix.multipliers = {-2, 3};
    matrix.scales.resize(source.scales.size() / 2);
    std::memcpy(matrix.scales.data(), source.scales.data(), source.scales.size());
    return matrix;
  }
  std::string identity() const override { return "marking"; }
};
} // namespace

template <typename T> static std::vector<T> read(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(CheckpointWeights, storedBytesAreReadOnce) {
  TwoExperts checkpoint;
  WeightSource source = weightsOf(checkpoint);
  ASSERT_TRUE(source("experts"));
  auto bytes = source("experts");
  EXPECT_EQ(read<int8_t>(bytes->weight), Stored().codes);
  EXPECT_EQ(checkpoint.reads, 1);
  EXPECT_EQ(source("other").error(), "other: not here");
}

TEST(CheckpointWeights, everyExpertHasItsOwnFormat) {
  TwoExperts checkpoint;
  Marking encoder;
  // Multipliers of two rows: this encoder does not mind.
  WeightSource source =
      weightsOf(checkpoint, encoder,
                {{"experts", {{MatrixFormat::Kind::i8, 1}, {MatrixFormat::Kind::i4, 1, 2}}}});
  auto bytes = source("experts");
  ASSERT_TRUE(bytes) << bytes.error();
  // 5 + 4 under -2, 6 + 4 under 3, 7 + 4 under -2, 8 + 4 under 3.
  EXPECT_EQ(read<int8_t>(bytes->weight), std::vector<int8_t>({9, 10, 11, 12, -18, 30, -22, 36}));
  EXPECT_EQ(read<uint16_t>(bytes->scales), Stored().factors);
  EXPECT_EQ(source("experts")->weight.data(), bytes->weight.data());
  EXPECT_EQ(checkpoint.reads, 1);
}

TEST(CheckpointWeights, formatsOfAllExpertsAreNeeded) {
  TwoExperts checkpoint;
  Marking encoder;
  auto bytes =
      weightsOf(checkpoint, encoder, {{"experts", {{MatrixFormat::Kind::i8, 1}}}})("experts");
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error(), "experts: has 2 matrices but 1 formats");
}
