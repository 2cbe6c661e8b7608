// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a packed tensor is made from: stored bytes, or an encoded matrix and the
// scales that belong to it.
#include "compiler/artifact/TensorPacker.h"

#include "compiler/artifact/PanelCodes.h"
#include "compiler/quantization/GroupEncoder.h"

#include <cstring>
#include <gmock/gmock.h>

using namespace grok;
using namespace grok::compiler;
using namespace grok::quantization;
using Packing = PackedTensor::Packing;
using ::testing::HasSubstr;

namespace {
class TensorPackerTest : public ::testing::Test {
protected:
  /// The tensor as it must be, encoded expert by expert in one chunk each.
  template <typename Source>
  std::vector<std::byte> expected(const PackedTensor &tensor, const Source &from,
                                  MatrixFormat format) const;

  const GroupEncoder encoder{GroupEncoder::Method::search, 2};
};

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

class Bytes : public checkpoint::TensorData {
public:
  Bytes(std::span<const std::byte> weight, std::span<const std::byte> scales, Ranges &released)
      : values(weight), factors(scales), released(released) {}
  std::span<const std::byte> weight() const override { return values; }
  std::span<const std::byte> scales() const override { return factors; }
  void release(int64_t begin, int64_t end) const override { released.push_back({begin, end}); }
  checkpoint::Result<void> checkUnchanged() const override { return {}; }

private:
  std::span<const std::byte> values, factors;
  Ranges &released;
};

/// One tensor "m".
class OneTensor : public checkpoint::Checkpoint {
public:
  OneTensor(std::vector<int64_t> shape, checkpoint::DType dtype, int64_t rowGroups = 1) {
    checkpoint::TensorInfo info;
    info.name = "m";
    info.dtype = dtype;
    info.shape = info.scaleShape = std::move(shape);
    info.quantised = dtype == checkpoint::DType::i8;
    info.scaleShape[info.shape.size() - 2] = rowGroups;
    for (int64_t i = 0; i < info.elements(); ++i) {
      int value = static_cast<int>(i * 31 % 251) - 125;
      if (info.quantised)
        codes.push_back(static_cast<int8_t>(value));
      else
        floats.push_back(static_cast<float>(value) * (1.0f + static_cast<float>(i % 97)));
    }
    for (int64_t i = 0; info.quantised && i < info.scaleBytes() / 2; ++i)
      scales.push_back(static_cast<uint16_t>(0x3c00 + i));
    list.push_back(info);
  }
  const checkpoint::TensorList &tensors() const override { return list; }
  checkpoint::Result<std::unique_ptr<checkpoint::TensorData>>
  read(std::string_view) const override {
    auto weight =
        floats.empty() ? std::as_bytes(std::span(codes)) : std::as_bytes(std::span(floats));
    return std::make_unique<Bytes>(weight, std::as_bytes(std::span(scales)), released);
  }
  MatrixSource source(int64_t expert) const { return matrixOf(list[0], **read("m"), expert); }

  checkpoint::TensorList list;
  std::vector<int8_t> codes;
  std::vector<float> floats;
  std::vector<uint16_t> scales;
  mutable Ranges released;
};
} // namespace

static PackedTensor packedAs(std::string_view packing, std::vector<int64_t> logical,
                             int64_t rowGroups) {
  PackedTensor tensor;
  EXPECT_TRUE(readPacking(packing, tensor));
  tensor.name = tensor.source = "m";
  tensor.dtype = checkpoint::DType::i8;
  tensor.logical = std::move(logical);
  tensor.rowGroups = rowGroups;
  tensor.shape = {tensor.expertCount(), tensor.panels(), tensor.panelBytes()};
  return tensor;
}

static PackedTensor scalesOf(const PackedTensor &weight) {
  PackedTensor tensor;
  tensor.name = tensor.source = "m.scales";
  tensor.packing = Packing::scales16;
  tensor.dtype = checkpoint::DType::bf16;
  tensor.experts = weight.experts;
  tensor.logical = weight.logical;
  tensor.logical[tensor.logical.size() - 2] = weight.rowGroups;
  if (weight.transposed)
    tensor.logical = {1, weight.outputs()};
  tensor.shape = {weight.expertCount(), weight.rowGroups, weight.panels() * 16};
  return tensor;
}

static checkpoint::Result<std::vector<std::byte>>
pack(const PackedTensor &tensor, std::vector<PackedTensor> all, const OneTensor &from,
     const MatrixEncoder *encoder, uint64_t maxBytes) {
  auto packer = TensorPacker::open(tensor, all, {from, encoder, 2});
  if (!packer)
    return tl::unexpected(packer.error());
  std::vector<std::byte> packed;
  for (const PackedChunk &chunk : chunksOf(tensor, maxBytes)) {
    std::vector<std::byte> part(chunk.bytes);
    if (auto made = packer->pack(chunk, part); !made)
      return tl::unexpected(made.error());
    packed.insert(packed.end(), part.begin(), part.end());
  }
  return packed;
}

template <typename Source>
std::vector<std::byte> TensorPackerTest::expected(const PackedTensor &tensor, const Source &from,
                                                  MatrixFormat format) const {
  std::vector<std::byte> all;
  for (const PackedChunk &chunk : chunksOf(tensor, 1 << 30)) {
    auto matrix = encoder.encode(from.source(chunk.expert), format);
    EXPECT_TRUE(matrix);
    std::vector<std::byte> part(chunk.bytes);
    if (tensor.packing == Packing::codes16)
      packCodes(tensor, *matrix, chunk, part, 1);
    else
      packChunk(tensor, std::as_bytes(std::span(matrix->codes)), chunk, part, 1);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST_F(TensorPackerTest, requantisesEveryExpert) {
  OneTensor from({3, 192, 40}, checkpoint::DType::i8, 2);
  PackedTensor tensor = packedAs("panel16.i3.g32", {3, 192, 40}, 2);
  auto packed = pack(tensor, {tensor}, from, &encoder, 1300); // a panel at a time
  ASSERT_TRUE(packed) << packed.error();
  EXPECT_EQ(*packed, expected(tensor, from, {MatrixFormat::Kind::i3, 2, 32}));
}

TEST_F(TensorPackerTest, packsSomeExperts) {
  OneTensor from({4, 64, 20}, checkpoint::DType::i8);
  PackedTensor tensor = packedAs("panel16.i4.g64", {4, 64, 20}, 1);
  tensor.experts = {3, 1};
  auto packed = pack(tensor, {tensor}, from, &encoder, 1 << 20);
  ASSERT_TRUE(packed);
  EXPECT_EQ(*packed, expected(tensor, from, {MatrixFormat::Kind::i4, 1, 64}));
  PackedTensor scales = scalesOf(tensor);
  auto packedScales = pack(scales, {tensor, scales}, from, nullptr, 1 << 20);
  ASSERT_TRUE(packedScales);
  EXPECT_EQ(std::memcmp(packedScales->data(), from.scales.data() + 60, 40), 0);
  EXPECT_EQ(std::memcmp(packedScales->data() + 64, from.scales.data() + 20, 40), 0);
}

TEST_F(TensorPackerTest, floatsBecomeInt8WithTheirScales) {
  OneTensor from({2, 96, 24}, checkpoint::DType::f32);
  PackedTensor tensor = packedAs("panel16.k4", {2, 96, 24}, 3), scales = scalesOf(tensor);
  auto packed = pack(tensor, {tensor, scales}, from, &encoder, 1 << 20);
  ASSERT_TRUE(packed) << packed.error();
  MatrixFormat format = {MatrixFormat::Kind::i8, 3};
  EXPECT_EQ(*packed, expected(tensor, from, format));
  auto packedScales = pack(scales, {tensor, scales}, from, &encoder, 1 << 20);
  ASSERT_TRUE(packedScales) << packedScales.error();
  auto second = encoder.encode(from.source(1), format);
  for (int64_t group = 0; group < 3; ++group)
    EXPECT_EQ(std::memcmp(packedScales->data() + (3 + group) * 64,
                          second->scales.data() + group * 24, 48),
              0);
}

TEST_F(TensorPackerTest, tableHasAScalePerToken) {
  const int64_t tokens = 100, width = 24;
  OneTensor from({tokens, width}, checkpoint::DType::f32);
  PackedTensor tensor = packedAs("panel16.k4", {tokens, width}, 1);
  tensor.transposed = true;
  tensor.shape = {tensor.panels(), tensor.panelBytes()};
  PackedTensor scales = scalesOf(tensor);
  MatrixFormat format = {MatrixFormat::Kind::i8, 1, 0, true};
  // Two panels at a time, the last of four tokens; no encoder has a choice here.
  auto packed = pack(tensor, {tensor, scales}, from, nullptr, 32 * width);
  ASSERT_TRUE(packed) << packed.error();
  EXPECT_EQ(*packed, expected(tensor, from, format));
  auto packedScales = pack(scales, {tensor, scales}, from, nullptr, 1 << 20);
  ASSERT_TRUE(packedScales) << packedScales.error();
  auto whole = encoder.encode(from.source(0), format);
  EXPECT_EQ(std::memcmp(packedScales->data(), whole->scales.data(), 2 * tokens), 0);
  EXPECT_EQ((*packedScales)[2 * tokens], std::byte{0});
}

TEST_F(TensorPackerTest, sourceIsReleasedBehind) {
  for (bool transposed : {false, true}) {
    OneTensor from({2, 64, 64}, checkpoint::DType::i8);
    PackedTensor tensor = packedAs("panel16.k4", {2, 64, 64}, 1);
    if (transposed) {
      from.list[0].shape = tensor.logical = {128, 64};
      tensor.transposed = true;
      tensor.shape = {1, tensor.panels(), tensor.panelBytes()};
    }
    ASSERT_TRUE(pack(tensor, {tensor}, from, nullptr, 2048));
    int64_t end = 0;
    for (auto [first, last] : from.released) {
      EXPECT_EQ(first, end);
      end = last;
    }
    EXPECT_EQ(end, 2 * 64 * 64);
  }
}

TEST_F(TensorPackerTest, saysWhatIsMissing) {
  OneTensor from({2, 64, 20}, checkpoint::DType::i8);
  PackedTensor tensor = packedAs("panel16.i4.g64", {2, 64, 20}, 1);
  auto packed = pack(tensor, {tensor}, from, nullptr, 1 << 20);
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error(), "m: cannot be stored as int4 g64 without an encoder");
  tensor.rowGroups = 2;
  packed = pack(tensor, {tensor}, from, &encoder, 1 << 20);
  ASSERT_FALSE(packed);
  EXPECT_THAT(packed.error(), HasSubstr("64 rows cannot be stored as int4 g64"));
}
