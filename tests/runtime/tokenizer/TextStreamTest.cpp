// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Streamed text equals what SentencePiece itself decodes from all ids at once.
#include "TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#include <gtest/gtest.h>
#include <random>
#include <sentencepiece_processor.h>

using namespace grok::runtime;

// Where grok-nano's tokenizer.model keeps its byte pieces.
constexpr int32_t firstBytePiece = 16;

class TextStreamTest : public testing::Test {
protected:
  std::string model = readNanoFile("tokenizer.model");
  Tokenizer tokenizer = loadFromString(model).value();

  std::string streamed(const std::vector<int32_t> &ids) const {
    TextStream stream(tokenizer);
    std::string text;
    for (int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_EQ(findBrokenUtf8(part), std::string::npos) << "a character was split";
      text += part;
    }
    return text + stream.finish();
  }
};

TEST_F(TextStreamTest, EqualsSentencePieceOnRandomIds) {
  sentencepiece::SentencePieceProcessor reference;
  ASSERT_TRUE(reference.LoadFromSerializedProto(model).ok());
  std::mt19937 random(7); // NOLINT(bugprone-random-generator-seed): the same ids every time
  for (int round = 0; round < 3000; ++round) {
    std::vector<int32_t> ids(random() % 12);
    // Half of the rounds from the low ids: control, user-defined, byte pieces.
    for (int32_t &id : ids)
      id = static_cast<int32_t>(random() % (round % 2 ? 272 : nanoVocabulary));
    ASSERT_EQ(streamed(ids), reference.DecodeIds(ids)) << "round " << round;
  }
}

TEST_F(TextStreamTest, WaitsForWholeCharacters) {
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.push(firstBytePiece + 0xf0), "");
  EXPECT_EQ(stream.push(firstBytePiece + 0x9f), "");
  EXPECT_EQ(stream.push(firstBytePiece + 0x98), "");
  EXPECT_EQ(stream.push(firstBytePiece + 0x80), "\xf0\x9f\x98\x80");
}

TEST_F(TextStreamTest, ReplacesBrokenBytes) {
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.push(firstBytePiece + 0x80), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push(firstBytePiece + 0xe2), "");
  EXPECT_EQ(stream.push(firstBytePiece + '('), "\xef\xbf\xbd(");
  EXPECT_EQ(stream.push(firstBytePiece + 0xe2), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
}

TEST_F(TextStreamTest, ContinuesAfterAPrompt) {
  const std::vector<int32_t> prompt = tokenizer.encode("Once upon").value();
  const std::vector<int32_t> whole = tokenizer.encode("Once upon a time").value();
  TextStream stream(tokenizer);
  for (int32_t id : prompt)
    stream.push(id);
  std::string text;
  for (size_t i = prompt.size(); i < whole.size(); ++i)
    text += stream.push(whole[i]);
  EXPECT_EQ(text, " a time") << "the leading space belongs to the continuation";
}
