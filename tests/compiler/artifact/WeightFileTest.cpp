// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The weight file is a valid safetensors file with aligned data and true
// digests, and is gone on with where a run was interrupted.
#include "compiler/artifact/WeightFile.h"
#include "compiler/artifact/WorkJournal.h"
#include "compiler/quantization/GroupEncoder.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok;
using namespace grok::compiler;
using ::testing::ElementsAre;
namespace fs = std::filesystem;

namespace {
class TwoBytes : public checkpoint::TensorData {
public:
  explicit TwoBytes(std::vector<std::byte> bytes) : bytes(std::move(bytes)) {}
  std::span<const std::byte> weight() const override { return bytes; }
  std::span<const std::byte> scales() const override { return bytes; }
  void release(int64_t, int64_t) const override {}
  checkpoint::Result<void> checkUnchanged() const override { return {}; }

private:
  std::vector<std::byte> bytes;
};

/// Every tensor is 40 counting bytes; "broken" cannot be read.
class CountingCheckpoint : public checkpoint::Checkpoint {
public:
  const checkpoint::TensorList &tensors() const override { return list; }
  checkpoint::Result<std::unique_ptr<checkpoint::TensorData>>
  read(std::string_view name) const override {
    reads.emplace_back(name);
    if (name == "broken" && !isMended)
      return tl::unexpected(std::string("tensor broken: unreadable"));
    std::vector<std::byte> bytes(40);
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(i);
    return std::make_unique<TwoBytes>(std::move(bytes));
  }

  bool isMended = false;
  checkpoint::TensorList list;
  mutable std::vector<std::string> reads;
};

class WeightFileTest : public ::testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("weight-file-" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  fs::path folder;
};
} // namespace

static PackedTensor vectorTensor(std::string name) {
  PackedTensor tensor;
  tensor.name = name;
  tensor.source = std::move(name);
  tensor.packing = PackedTensor::Packing::vector16;
  tensor.logical = {10};
  tensor.shape = {16};
  return tensor;
}

static std::string readFile(const fs::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

static const PackProgress silent = [](std::string_view, uint64_t, uint64_t) {};

/// One rank's file.
static Result<void> writeWeightFile(const std::string &folder, WeightFile &file,
                                    std::vector<PackedTensor> &tensors, const PackingSource &source,
                                    const PackProgress &progress) {
  RankWeights rank{0, file, tensors};
  auto written = writeWeightFiles(folder, std::span(&rank, 1), source, progress);
  file = rank.file;
  tensors = rank.tensors;
  return written;
}

TEST_F(WeightFileTest, isSafetensorsWithAlignedData) {
  std::vector<PackedTensor> tensors = {vectorTensor("a"), vectorTensor("b")};
  WeightFile file = placeTensors("w.safetensors", tensors);
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {CountingCheckpoint(), nullptr, 1}, silent));
  std::string bytes = readFile(folder / "w.safetensors");
  ASSERT_EQ(bytes.size(), file.bytes);
  EXPECT_EQ(file.headerBytes % 4096, 0u);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(8 + length, file.headerBytes);
  auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["b"]["dtype"], "F32");
  EXPECT_EQ(header["b"]["data_offsets"], nlohmann::json({64, 128}));
  for (const PackedTensor &tensor : tensors) {
    auto data = std::as_bytes(std::span(bytes)).subspan(tensor.offset, tensor.bytes);
    EXPECT_EQ(header["__metadata__"]["sha256:" + tensor.name], runtime::hex(runtime::sha256(data)));
    EXPECT_EQ(data[39], std::byte{39});
    EXPECT_EQ(data[40], std::byte{0});
  }
  auto head = std::as_bytes(std::span(bytes)).first(file.headerBytes);
  EXPECT_EQ(file.headerSha256, runtime::sha256(head));
}

TEST_F(WeightFileTest, manyTensorsNeedAnotherHeaderPage) {
  std::vector<PackedTensor> tensors;
  tensors.reserve(900);
  for (int i = 0; i < 900; ++i)
    tensors.push_back(vectorTensor("transformer/decoder_layer_" + std::to_string(i) + "/rms_norm"));
  WeightFile file = placeTensors("w.safetensors", tensors);
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {CountingCheckpoint(), nullptr, 1}, silent));
  std::string bytes = readFile(folder / "w.safetensors");
  EXPECT_EQ(nlohmann::json::parse(bytes.substr(8, file.headerBytes - 8)).size(), 901u);
}

TEST_F(WeightFileTest, goesOnAfterAFailure) {
  std::vector<PackedTensor> tensors = {vectorTensor("a"), vectorTensor("broken"),
                                       vectorTensor("b")};
  WeightFile file = placeTensors("w.safetensors", tensors);
  CountingCheckpoint source;
  auto written = writeWeightFile(folder, file, tensors, {source, nullptr, 1}, silent);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error(), "tensor broken: unreadable");
  EXPECT_EQ(file.finishedBytes, 64u);
  source.isMended = true;
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {source, nullptr, 1}, silent));
  EXPECT_EQ(file.reusedTensors, 1);
  EXPECT_THAT(source.reads, ElementsAre("a", "broken", "broken", "b"));
  std::string resumed = readFile(folder / "w.safetensors");
  fs::remove(folder / "w.safetensors");
  EXPECT_TRUE(fs::is_empty(folder)); // no journal
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {source, nullptr, 1}, silent));
  EXPECT_EQ(readFile(folder / "w.safetensors"), resumed);
}

TEST_F(WeightFileTest, damagedTensorsAreMadeAgain) {
  std::vector<PackedTensor> tensors = {vectorTensor("a"), vectorTensor("b"),
                                       vectorTensor("broken")};
  WeightFile file = placeTensors("w.safetensors", tensors);
  CountingCheckpoint source;
  ASSERT_FALSE(writeWeightFile(folder, file, tensors, {source, nullptr, 1}, silent));
  {
    std::fstream out(folder / "w.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(tensors[0].offset + 5));
    out.put('!');
    // Killed in the middle of a line.
    std::ofstream(folder / "finished-tensors", std::ios::app) << "0123456789abcdef";
  }
  source.isMended = true;
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {source, nullptr, 1}, silent));
  EXPECT_EQ(file.reusedTensors, 1);
  EXPECT_THAT(source.reads, ElementsAre("a", "b", "broken", "a", "broken"));
}

TEST_F(WeightFileTest, identityChangesWithWhatTheBytesDependOn) {
  std::ofstream(folder / "tensor") << "12";
  std::vector<PackedTensor> tensors = {vectorTensor("a")};
  CountingCheckpoint source;
  source.list.push_back({});
  source.list[0].name = "a";
  source.list[0].file = folder / "tensor";
  source.list[0].shape = {2, 2};
  quantization::GroupEncoder encoder(quantization::GroupEncoder::Method::search, 1);
  std::vector<std::string> all;
  auto add = [&](const quantization::MatrixEncoder *with, std::string_view origin) {
    all.push_back(identityOf(tensors, {source, with, 1}, origin));
  };
  add(nullptr, "x");
  EXPECT_EQ(identityOf(tensors, {source, nullptr, 5}, "x"), all[0]); // threads do not matter
  add(nullptr, "y");
  add(&encoder, "x");
  tensors[0].packingText = "panel16.i4.g32";
  add(nullptr, "x");
  std::ofstream(folder / "tensor") << "123";
  add(nullptr, "x");
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      EXPECT_NE(all[i], all[j]) << i << " " << j;
}
