// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The weight file is a valid safetensors file with aligned data and true
// digests, and never stays half-written.
#include "compiler/artifact/WeightFile.h"
#include "compiler/artifact/OutputFile.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok;
using namespace grok::compiler;
using ::testing::HasSubstr;
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
  const checkpoint::TensorList &tensors() const override { return none; }
  checkpoint::Result<std::unique_ptr<checkpoint::TensorData>>
  read(std::string_view name) const override {
    if (name == "broken")
      return tl::unexpected(std::string("tensor broken: unreadable"));
    std::vector<std::byte> bytes(40);
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(i);
    return std::make_unique<TwoBytes>(std::move(bytes));
  }

private:
  checkpoint::TensorList none;
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
  for (int i = 0; i < 900; ++i)
    tensors.push_back(vectorTensor("transformer/decoder_layer_" + std::to_string(i) + "/rms_norm"));
  WeightFile file = placeTensors("w.safetensors", tensors);
  ASSERT_TRUE(writeWeightFile(folder, file, tensors, {CountingCheckpoint(), nullptr, 1}, silent));
  std::string bytes = readFile(folder / "w.safetensors");
  EXPECT_EQ(nlohmann::json::parse(bytes.substr(8, file.headerBytes - 8)).size(), 901u);
}

TEST_F(WeightFileTest, failureLeavesNoFile) {
  std::vector<PackedTensor> tensors = {vectorTensor("a"), vectorTensor("broken")};
  WeightFile file = placeTensors("w.safetensors", tensors);
  auto written = writeWeightFile(folder, file, tensors, {CountingCheckpoint(), nullptr, 1}, silent);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error(), "tensor broken: unreadable");
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(WeightFileTest, folderAppearsOnCommitOnly) {
  {
    auto output = OutputFolder::create(folder / "artifact");
    ASSERT_TRUE(output);
    EXPECT_FALSE(fs::exists(folder / "artifact"));
  }
  EXPECT_TRUE(fs::is_empty(folder));
  auto output = OutputFolder::create((folder / "artifact/").string());
  ASSERT_TRUE(output);
  std::ofstream(output->path() + "/model.plan") << "new";
  ASSERT_TRUE(output->commit());
  EXPECT_EQ(readFile(folder / "artifact/model.plan"), "new");
}

TEST_F(WeightFileTest, olderArtifactIsReplacedOtherFoldersAreNot) {
  fs::create_directories(folder / "old");
  std::ofstream(folder / "old/model.plan") << "old";
  auto output = OutputFolder::create(folder / "old");
  ASSERT_TRUE(output);
  std::ofstream(output->path() + "/model.plan") << "new";
  ASSERT_TRUE(output->commit());
  EXPECT_EQ(readFile(folder / "old/model.plan"), "new");
  fs::create_directories(folder / "home/photos");
  auto refused = OutputFolder::create(folder / "home");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr("not an artifact"));
}
