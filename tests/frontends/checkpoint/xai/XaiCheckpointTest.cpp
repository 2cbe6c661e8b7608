// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/xai/XaiCheckpoint.h"
#include "tests/frontends/checkpoint/TemporaryFolder.h"
#include "tests/frontends/checkpoint/xai/PickleWriter.h"

#include <cstring>
#include <gmock/gmock.h>
#include <sys/stat.h>

using namespace grok::checkpoint;
using testing::AllOf;
using testing::HasSubstr;

static TensorInfo plain(std::string name, std::vector<int64_t> shape) {
  TensorInfo tensor;
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  return tensor;
}

static TensorInfo pair(std::string name, std::vector<int64_t> shape, int64_t groups) {
  TensorInfo tensor = plain(std::move(name), std::move(shape));
  tensor.dtype = DType::i8;
  tensor.quantised = true;
  tensor.scaleShape = tensor.shape;
  tensor.scaleShape[tensor.shape.size() - 2] = groups;
  return tensor;
}

/// Four tensors in the order of their files.
static TensorList int8Form() {
  return {plain("language_model/table/embeddings", {5, 4}),
          pair("transformer/decoder_layer_0/moe/linear/w", {2, 4, 8}, 1),
          pair("transformer/decoder_layer_0/moe/linear_1/w", {2, 8, 4}, 2),
          plain("transformer/decoder_layer_0/norm/scale", {4})};
}

static TensorList floatForm() {
  TensorList list = int8Form();
  for (TensorInfo &tensor : list)
    tensor = plain(tensor.name, tensor.shape);
  return list;
}

static std::string fileName(size_t leaf, const char *host = "000") {
  char text[32];
  std::snprintf(text, sizeof text, "tensor%05zu_%s", leaf, host);
  return text;
}

/// A checkpoint that is right until a test spoils a file.
class XaiCheckpointTest : public testing::Test {
protected:
  void SetUp() override { writeAll(int8Form()); }

  void writeAll(const TensorList &list) {
    for (size_t leaf = 0; leaf < list.size(); ++leaf)
      write(leaf, tensorPickle(list[leaf]));
  }
  void write(size_t leaf, const std::string &bytes) { folder.write(place(leaf), bytes); }
  std::string bytesOf(size_t leaf) { return folder.read(place(leaf)); }
  static std::string place(size_t leaf) { return "ckpt-0/" + fileName(leaf); }

  Result<std::unique_ptr<Checkpoint>> open() {
    return openXai(folder.string(), {int8Form(), floatForm()});
  }
  std::string refusal() {
    Result<std::unique_ptr<Checkpoint>> opened = open();
    return opened ? "accepted" : opened.error();
  }
  std::string refusalToRead(const std::string &name) {
    Result<std::unique_ptr<Checkpoint>> opened = open();
    if (!opened)
      return opened.error();
    Result<std::unique_ptr<TensorData>> data = (*opened)->read(name);
    return data ? "accepted" : data.error();
  }

  TemporaryFolder folder;
};

TEST_F(XaiCheckpointTest, OpensFolderOrItsParent) {
  ASSERT_EQ(refusal(), "accepted");
  EXPECT_TRUE(openXai(folder / "ckpt-0", {int8Form(), floatForm()}));
  EXPECT_TRUE(openXai(folder / "ckpt-0/", {int8Form()}));
  EXPECT_TRUE(openXai(folder.string() + "/", {int8Form()}));
}

TEST_F(XaiCheckpointTest, DescribesTensorsAndReadsThem) {
  Result<std::unique_ptr<Checkpoint>> opened = open();
  ASSERT_TRUE(opened);
  const TensorInfo &tensor = (*opened)->tensors()[2];
  EXPECT_TRUE(tensor.sameForm(int8Form()[2])) << tensor.form();
  EXPECT_THAT(tensor.file, HasSubstr("tensor00002_000"));
  Result<std::unique_ptr<TensorData>> data = (*opened)->read(tensor.name);
  ASSERT_TRUE(data) << data.error();
  EXPECT_EQ((*data)->weight().size(), 64u);
  EXPECT_EQ((*data)->scales().size(), 32u);
  EXPECT_EQ((*data)->weight()[63], std::byte(1));
  (*data)->release(0, 64);
  EXPECT_EQ((*data)->weight()[0], std::byte(1));
  EXPECT_TRUE((*data)->checkUnchanged());
  EXPECT_TRUE((*(*opened)->read("language_model/table/embeddings"))->scales().empty());
  EXPECT_THAT((*opened)->read("nothing").error(), HasSubstr("no tensor 'nothing'"));
}

TEST_F(XaiCheckpointTest, OrdersLayersAsStrings) {
  TemporaryFolder twelve;
  TensorList list;
  for (int64_t layer = 0; layer < 12; ++layer)
    list.push_back(
        plain("transformer/decoder_layer_" + std::to_string(layer) + "/norm/scale", {layer + 1}));
  const int64_t order[] = {0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9};
  for (size_t leaf = 0; leaf < 12; ++leaf)
    twelve.write(fileName(leaf), tensorPickle(list[static_cast<size_t>(order[leaf])]));
  Result<std::unique_ptr<Checkpoint>> opened = openXai(twelve.string(), {list});
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_EQ((*opened)->tensors()[2].name, list[2].name);
  EXPECT_THAT((*opened)->tensors()[2].file, HasSubstr(fileName(4)));
  EXPECT_THAT((*opened)->tensors()[10].file, HasSubstr(fileName(2)));
}

TEST_F(XaiCheckpointTest, ReadsFloatForm) {
  writeAll(floatForm());
  Result<std::unique_ptr<Checkpoint>> opened = open();
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_FALSE((*opened)->tensors()[1].quantised);
}

TEST_F(XaiCheckpointTest, FollowsLinksToFiles) {
  std::filesystem::rename(folder / place(1), folder / "blob");
  std::filesystem::create_symlink("../blob", folder / place(1));
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(XaiCheckpointTest, IgnoresOtherNames) {
  folder.write("ckpt-0/README.md", "text");
  folder.makeFolder("ckpt-0/.cache");
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(XaiCheckpointTest, RefusesFoldersWithoutCheckpoint) {
  TemporaryFolder empty;
  EXPECT_THAT(openXai(empty.string(), {int8Form()}).error(), HasSubstr("holds neither ckpt-0/"));
  EXPECT_THAT(openXai(empty / "x", {int8Form()}).error(), HasSubstr("no such folder"));
  EXPECT_THAT(openXai(folder / place(0), {int8Form()}).error(), HasSubstr("no such folder"));
}

TEST_F(XaiCheckpointTest, RefusesMissingFile) {
  std::filesystem::remove(folder / place(2));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("tensor00002_000: missing"), HasSubstr("moe/linear_1/w"),
                               HasSubstr("the model has 4 tensors, the folder 3")));
}

TEST_F(XaiCheckpointTest, RefusesExtraFile) {
  write(4, bytesOf(3));
  EXPECT_THAT(refusal(), HasSubstr("tensor00004_000: one file too many"));
}

TEST_F(XaiCheckpointTest, RefusesFileOfAnotherHost) {
  std::filesystem::rename(folder / place(1), folder / "ckpt-0/tensor00001_001");
  EXPECT_THAT(refusal(), HasSubstr("tensor00001_001: is a file of host 1"));
}

TEST_F(XaiCheckpointTest, RefusesShardedCheckpoint) {
  folder.write("ckpt-0/" + fileName(1, "001"), bytesOf(1));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("sharded over hosts (2 files"), HasSubstr("gather")));
}

TEST_F(XaiCheckpointTest, RefusesUnfinishedDownloads) {
  for (const char *name : {"tensor00001_000.part", "tensor1_0", "tensor-0001_000",
                           "tensor00001-000", "tensor00001_0000"}) {
    folder.write(std::string("ckpt-0/") + name, "");
    EXPECT_THAT(refusal(), AllOf(HasSubstr(name), HasSubstr("not a name of the form")));
    std::filesystem::remove(folder / (std::string("ckpt-0/") + name));
  }
}

TEST_F(XaiCheckpointTest, RefusesWhatIsNoRegularFile) {
  std::filesystem::remove(folder / place(1));
  ASSERT_EQ(::mkfifo((folder / place(1)).c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("is a FIFO"));
  std::filesystem::remove(folder / place(1));
  folder.makeFolder(place(1));
  EXPECT_THAT(refusal(), HasSubstr("is a folder, not a regular file"));
  std::filesystem::remove(folder / place(1));
  std::filesystem::create_symlink("nothing", folder / place(1));
  EXPECT_THAT(refusal(), HasSubstr("symbolic link to nothing"));
}

TEST_F(XaiCheckpointTest, RefusesTruncatedAndOversizedFiles) {
  std::string bytes = bytesOf(1);
  write(1, bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("tensor00001_000: transformer/decoder_layer_0/moe/linear"),
                               HasSubstr("truncated")));
  write(1, bytes + std::string(100, '\0'));
  EXPECT_THAT(refusal(), HasSubstr("100 bytes follow the pickle's end"));
  write(1, "");
  EXPECT_THAT(refusal(), HasSubstr("the file is empty"));
}

TEST_F(XaiCheckpointTest, NamesSwappedFiles) {
  std::string first = bytesOf(1);
  write(1, bytesOf(3));
  write(3, first);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("tensor00001_000"), HasSubstr("swapped with"),
                               HasSubstr("tensor00003_000")));
}

TEST_F(XaiCheckpointTest, RefusesMixedForms) {
  write(2, tensorPickle(floatForm()[2]));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("tensor00002_000"), HasSubstr("is float32 [2, 8, 4]"),
                               HasSubstr("all matrices in int8 or none")));
}

TEST_F(XaiCheckpointTest, RefusesOtherShapes) {
  write(3, tensorPickle(plain("", {5})));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("tensor00003_000"), HasSubstr("norm/scale"),
                               HasSubstr("is float32 [5], expected float32 [4]")));
}

TEST_F(XaiCheckpointTest, RefusesOtherRowGroups) {
  write(2, tensorPickle(pair("", {2, 8, 4}, 4)));
  EXPECT_THAT(refusal(), HasSubstr("check model_shards_of_int8_scales"));
}

TEST_F(XaiCheckpointTest, RefusesScalesOfOtherRankOrDtype) {
  write(1, pairPickle(arrayOf(DType::i8, {2, 4, 8}), arrayOf(DType::bf16, {1, 8})));
  EXPECT_THAT(refusal(), HasSubstr("is int8 [2, 4, 8], scales bfloat16 [1, 8], expected"));
  write(1, pairPickle(arrayOf(DType::i8, {2, 4, 8}), arrayOf(DType::f32, {2, 1, 8})));
  EXPECT_THAT(refusal(), HasSubstr("scales float32 [2, 1, 8], expected"));
  write(1, pairPickle(arrayOf(DType::i8, {2, 4, 8}), arrayOf(DType::bf16, {1})));
  EXPECT_THAT(refusal(), HasSubstr("scales bfloat16 [1], expected"));
}

TEST_F(XaiCheckpointTest, RefusesOtherFloatDtype) {
  TensorList list = floatForm();
  for (size_t leaf : {1, 2})
    list[leaf].dtype = DType::bf16;
  writeAll(list);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("is bfloat16 [2, 4, 8], expected float32"),
                               HasSubstr("float_checkpoint_matrix_dtype")));
}

TEST_F(XaiCheckpointTest, NoticesFilesThatChangeAfterOpening) {
  Result<std::unique_ptr<Checkpoint>> opened = open();
  ASSERT_TRUE(opened);
  const std::string name = int8Form()[1].name;
  Result<std::unique_ptr<TensorData>> data = (*opened)->read(name);
  ASSERT_TRUE(data);
  std::filesystem::resize_file(folder / place(1), 10);
  EXPECT_THAT((*data)->checkUnchanged().error(), HasSubstr("to 10 bytes while in use"));
  EXPECT_THAT((*opened)->read(name).error(), HasSubstr("to 10 bytes while in use"));
  std::filesystem::remove(folder / place(1));
  EXPECT_THAT((*opened)->read(name).error(), HasSubstr("cannot be opened"));
}

TEST_F(XaiCheckpointTest, SurvivesFilesThatShrinkWhileRead) {
  TemporaryFolder large;
  const TensorList list = {plain("table/embeddings", {100, 1000})};
  large.write(fileName(0), tensorPickle(list[0]));
  Result<std::unique_ptr<Checkpoint>> opened = openXai(large.string(), {list});
  ASSERT_TRUE(opened) << opened.error();
  Result<std::unique_ptr<TensorData>> data = (*opened)->read(list[0].name);
  ASSERT_TRUE(data) << data.error();
  std::filesystem::resize_file(large / fileName(0), 1000);
  EXPECT_EQ((*data)->weight()[200000], std::byte(0));
  EXPECT_THAT((*data)->checkUnchanged().error(), HasSubstr("to 1000 bytes while in use"));
}

TEST_F(XaiCheckpointTest, NoticesReplacedFiles) {
  Result<std::unique_ptr<Checkpoint>> opened = open();
  ASSERT_TRUE(opened);
  folder.write("other", bytesOf(1));
  std::filesystem::rename(folder / "other", folder / place(1));
  EXPECT_THAT((*opened)->read(int8Form()[1].name).error(), HasSubstr("written or replaced"));
}

/// `words` 16-bit or 32-bit little-endian values as a payload.
template <typename Word> static std::string payloadOf(std::vector<Word> words) {
  return {reinterpret_cast<const char *>(words.data()), words.size() * sizeof(Word)};
}

TEST_F(XaiCheckpointTest, RefusesBadScalesWhenRead) {
  ArraySpec weight = arrayOf(DType::i8, {2, 8, 4}, '\x80'); // -128 is a legal weight
  ArraySpec scales = arrayOf(DType::bf16, {2, 2, 4});
  std::vector<uint16_t> words(16, 0x3f80);
  words[6] = 0;
  scales.payload = payloadOf(words);
  write(2, pairPickle(weight, scales));
  EXPECT_EQ(refusalToRead(int8Form()[2].name), "accepted");
  for (uint16_t bad : {0x7f80, 0xff80, 0x7fc0, 0xbf80}) { // inf, -inf, NaN, -1
    words[13] = bad;
    scales.payload = payloadOf(words);
    write(2, pairPickle(weight, scales));
    EXPECT_THAT(refusalToRead(int8Form()[2].name),
                AllOf(HasSubstr("tensor00002_000: transformer"),
                      HasSubstr("scale [1, 1, 1] is negative or not a finite number")));
  }
}

TEST_F(XaiCheckpointTest, RefusesNonFiniteWeightsWhenRead) {
  std::vector<float> values(20, -2.5f);
  values[14] = std::numeric_limits<float>::quiet_NaN();
  ArraySpec table = arrayOf(DType::f32, {5, 4});
  table.payload = payloadOf(values);
  write(0, arrayPickle(table));
  EXPECT_THAT(refusalToRead(int8Form()[0].name), HasSubstr("element [3, 2] is not a finite"));
}
