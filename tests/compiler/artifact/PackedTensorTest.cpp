// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where every element of a packed tensor must stand, against the layout's
// definition written as an index formula (docs/artifact.md).
#include "compiler/artifact/PackedTensor.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace grok;
using namespace grok::compiler;
using Packing = PackedTensor::Packing;

static PackedTensor matrix(std::vector<int64_t> logical, checkpoint::DType dtype, int64_t kPack,
                           int64_t columnGroup = 0) {
  PackedTensor tensor;
  tensor.packing = Packing::panel16;
  tensor.dtype = dtype;
  tensor.logical = std::move(logical);
  tensor.kPack = kPack;
  tensor.columnGroup = columnGroup;
  tensor.shape = {tensor.expertCount(), tensor.panels(), tensor.inputs() / kPack, 16, kPack};
  return tensor;
}

static std::vector<std::byte> counting(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 31 % 251 + 1); // never 0, the padding
  return bytes;
}

/// The whole packed tensor, made in chunks of at most `maxBytes`.
static std::vector<std::byte> pack(const PackedTensor &tensor, std::span<const std::byte> source,
                                   uint64_t maxBytes = 1000, int threads = 2) {
  std::vector<std::byte> all;
  const bool isMatrix = tensor.packing == Packing::panel16;
  const size_t matrixBytes =
      isMatrix ? tensor.inputs() * tensor.outputs() * checkpoint::sizeOf(tensor.dtype) : 0;
  for (const PackedChunk &chunk : chunksOf(tensor, maxBytes)) {
    std::vector<std::byte> out(chunk.bytes, std::byte{0xee});
    auto values = isMatrix ? source.subspan(chunk.expert * matrixBytes, matrixBytes) : source;
    packChunk(tensor, values, chunk, out, threads);
    all.insert(all.end(), out.begin(), out.end());
  }
  EXPECT_EQ(all.size(), tensor.contentBytes());
  return all;
}

/// Compares with ((p * K/kPack + k/kPack) * 16 + lane) * kPack + k % kPack.
static void expectPanels(const PackedTensor &tensor, const std::vector<std::byte> &source,
                         int64_t index = 0) {
  const int64_t expert = tensor.expertAt(index);
  const int64_t size = checkpoint::sizeOf(tensor.dtype), k = tensor.inputs(), n = tensor.outputs();
  const int64_t group = tensor.columnGroup ? tensor.columnGroup : n;
  const int64_t perGroup = (group + 15) / 16;
  const std::vector<std::byte> all = pack(tensor, source);
  const std::byte *packed = all.data() + index * (all.size() / tensor.expertCount());
  for (int64_t panel = 0; panel < tensor.panels(); ++panel)
    for (int64_t row = 0; row < k; ++row)
      for (int64_t lane = 0; lane < 16; ++lane) {
        int64_t at =
            ((panel * (k / tensor.kPack) + row / tensor.kPack) * 16 + lane) * tensor.kPack +
            row % tensor.kPack;
        int64_t inGroup = panel % perGroup * 16 + lane;
        int64_t column = panel / perGroup * group + inGroup;
        int64_t from = expert * k * n + (tensor.transposed ? column * k + row : row * n + column);
        for (int64_t byte = 0; byte < size; ++byte) {
          std::byte want = inGroup < group ? source[from * size + byte] : std::byte{0};
          ASSERT_EQ(packed[at * size + byte], want) << panel << " " << row << " " << lane;
        }
      }
}

TEST(PackedTensor, int8QuadsStandTogether) {
  expectPanels(matrix({96, 48}, checkpoint::DType::i8, 4), counting(96 * 48));
}

TEST(PackedTensor, panelsAreLongerThanOneBlock) {
  expectPanels(matrix({132, 16 * 37}, checkpoint::DType::i8, 4), counting(132 * 16 * 37));
}

TEST(PackedTensor, oddContractionPacksSingly) {
  expectPanels(matrix({43, 20}, checkpoint::DType::i8, 1), counting(43 * 20));
}

TEST(PackedTensor, lastPanelIsPaddedWithZeros) {
  expectPanels(matrix({8, 344}, checkpoint::DType::f32, 1), counting(8 * 344 * 4));
}

TEST(PackedTensor, headsArePaddedApart) {
  PackedTensor tensor = matrix({8, 3 * 24}, checkpoint::DType::i8, 4, 24);
  EXPECT_EQ(tensor.panels(), 6);
  expectPanels(tensor, counting(8 * 72));
}

TEST(PackedTensor, bfloat16Pairs) {
  expectPanels(matrix({6, 32}, checkpoint::DType::bf16, 2), counting(6 * 32 * 2));
}

TEST(PackedTensor, expertsFollowOneAnother) {
  PackedTensor tensor = matrix({3, 8, 32}, checkpoint::DType::i8, 4);
  for (int64_t expert = 0; expert < 3; ++expert)
    expectPanels(tensor, counting(3 * 8 * 32), expert);
}

TEST(PackedTensor, someExpertsInTheirOwnOrder) {
  PackedTensor tensor = matrix({5, 8, 32}, checkpoint::DType::i8, 4);
  tensor.experts = {4, 0, 3};
  tensor.shape[0] = 3;
  for (int64_t index = 0; index < 3; ++index)
    expectPanels(tensor, counting(5 * 8 * 32), index);
  tensor.packing = Packing::scales16;
  tensor.dtype = checkpoint::DType::bf16;
  tensor.logical = {5, 2, 16};
  tensor.shape = {3, 2, 16};
  auto source = counting(5 * 2 * 16 * 2);
  auto packed = pack(tensor, source);
  for (int64_t byte = 0; byte < 64; ++byte)
    EXPECT_EQ(packed[2 * 64 + byte], source[3 * 64 + byte]);
}

TEST(PackedTensor, slotsAreThePlacesAmongTheExperts) {
  PackedTensor tensor;
  ASSERT_TRUE(readPacking("slots", tensor));
  tensor.logical = tensor.shape = {5};
  tensor.experts = {1, 4};
  auto packed = pack(tensor, {});
  const int32_t expected[] = {-1, 0, -1, -1, 1};
  ASSERT_EQ(packed.size(), sizeof expected);
  EXPECT_EQ(0, std::memcmp(packed.data(), expected, sizeof expected));
}

TEST(PackedTensor, packingIsReadFromItsName) {
  PackedTensor tensor;
  EXPECT_TRUE(readPacking("panel16.k4", tensor));
  EXPECT_EQ(tensor.packing, Packing::panel16);
  EXPECT_EQ(tensor.kPack, 4);
  EXPECT_TRUE(readPacking("panel16.i3.g64", tensor));
  EXPECT_EQ(tensor.packing, Packing::codes16);
  EXPECT_EQ(tensor.bits, 3);
  EXPECT_EQ(tensor.multiplierRows, 64);
  EXPECT_EQ(tensor.packingText, "panel16.i3.g64");
  for (const char *text : {"panel16", "panel16.k", "panel16.k4x", "panel16.i5.g32",
                           "panel16.i4.g48", "panel16.i4.g", "scales", ""})
    EXPECT_FALSE(readPacking(text, tensor)) << text;
}

TEST(PackedTensor, embeddingIsTransposed) {
  PackedTensor tensor = matrix({50, 12}, checkpoint::DType::f32, 1);
  tensor.transposed = true;
  tensor.shape = {1, 4, 12, 16, 1};
  EXPECT_EQ(tensor.inputs(), 12);
  EXPECT_EQ(tensor.outputs(), 50);
  expectPanels(tensor, counting(50 * 12 * 4));
}

TEST(PackedTensor, threadsAndChunksDoNotChangeBytes) {
  PackedTensor tensor = matrix({64, 16 * 21}, checkpoint::DType::i8, 4);
  auto source = counting(64 * 16 * 21);
  EXPECT_EQ(pack(tensor, source, 1 << 20, 1), pack(tensor, source, 1 << 20, 5));
  EXPECT_EQ(pack(tensor, source, 1 << 20, 1), pack(tensor, source, 3000, 1));
}

TEST(PackedTensor, scalesFollowThePaddedColumns) {
  PackedTensor tensor;
  tensor.packing = Packing::scales16;
  tensor.dtype = checkpoint::DType::bf16;
  tensor.logical = {2, 24};
  tensor.columnGroup = 12;
  tensor.shape = {2, 32};
  auto source = counting(2 * 24 * 2);
  auto packed = pack(tensor, source);
  for (int64_t group = 0; group < 2; ++group)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t lane = 0; lane < 16; ++lane)
        for (int64_t byte = 0; byte < 2; ++byte)
          ASSERT_EQ(packed[((group * 2 + head) * 16 + lane) * 2 + byte],
                    lane < 12 ? source[(group * 24 + head * 12 + lane) * 2 + byte] : std::byte{0});
}

TEST(PackedTensor, ropeHoldsCosineAndSineOfFloatAngles) {
  PackedTensor tensor;
  tensor.packing = Packing::rope;
  tensor.logical = {300, 2, 8};
  tensor.shape = tensor.logical;
  tensor.ropeBase = 10000;
  std::vector<std::byte> bytes = pack(tensor, {});
  std::vector<float> table(300 * 2 * 8);
  std::memcpy(table.data(), bytes.data(), bytes.size());
  EXPECT_EQ(table[0], 1.0f); // cos 0
  EXPECT_EQ(table[8], 0.0f); // sin 0
  // Pair 0 turns by one radian per position: cos 299, sin 299.
  EXPECT_FLOAT_EQ(table[299 * 16], -0.85320439f);
  EXPECT_FLOAT_EQ(table[299 * 16 + 8], -0.52157672f);
}
