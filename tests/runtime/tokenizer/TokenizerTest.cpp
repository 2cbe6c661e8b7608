// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TokenizerFile.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::runtime;
using nlohmann::json;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

class TokenizerTest : public testing::Test {
protected:
  Tokenizer tokenizer = loadFromString(readNanoFile("tokenizer.model")).value();
  json reference = json::parse(readNanoFile("reference.json"));
};

TEST_F(TokenizerTest, EncodesTheReferencePrompts) {
  for (const json &entry : reference["greedy"]["continuations"]) {
    const std::vector<int32_t> expected = entry["prompt_ids"];
    EXPECT_THAT(tokenizer.encode(entry["prompt"].get<std::string>()).value(),
                ElementsAreArray(expected));
  }
}

TEST_F(TokenizerTest, DecodesTheReferenceContinuations) {
  for (const json &entry : reference["greedy"]["continuations"]) {
    std::vector<int32_t> ids = entry["prompt_ids"];
    const std::vector<int32_t> continuation = entry["continuation_ids"];
    ids.insert(ids.end(), continuation.begin(), continuation.end());
    EXPECT_EQ(tokenizer.decode(ids).value(), entry["text"].get<std::string>());
  }
}

TEST_F(TokenizerTest, EncodesTheHeldOutText) {
  const std::vector<int32_t> ids = tokenizer.encode(readNanoFile("heldout.txt")).value();
  ASSERT_EQ(ids.size(), reference["heldout"]["token_count"].get<size_t>());
  const std::vector<int32_t> first = reference["heldout"]["first_ids"];
  EXPECT_THAT(std::span(ids).first(first.size()), ElementsAreArray(first));
}

TEST_F(TokenizerTest, KeepsTextThroughARoundTrip) {
  for (std::string text : {"a  b\n\n\tc", " leading", "caf\xc3\xa9 \xf0\x9f\x98\x80", "1234"})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text).value()).value(), text);
}

TEST_F(TokenizerTest, EmptyTextHasNoIds) { EXPECT_THAT(tokenizer.encode("").value(), IsEmpty()); }

TEST_F(TokenizerTest, ControlNamesInTextAreText) {
  const std::vector<int32_t> ids = tokenizer.encode("[EOS]").value();
  EXPECT_THAT(ids, testing::Not(testing::Contains(2)));
  EXPECT_EQ(tokenizer.decode(ids).value(), "[EOS]");
}

TEST_F(TokenizerTest, RefusesBadText) {
  EXPECT_THAT(tokenizer.encode("ab\xff").error(), HasSubstr("byte 2 is not UTF-8"));
  EXPECT_THAT(tokenizer.decode(std::vector<int32_t>{-1}).error(), HasSubstr("token -1"));
  EXPECT_THAT(tokenizer.decode(std::vector<int32_t>{2048}).error(), HasSubstr("token 2048"));
}

TEST(TokenizerLoad, RefusesAnotherVocabulary) {
  const std::string model = readNanoFile("tokenizer.model");
  auto tokenizer = Tokenizer::load(std::as_bytes(std::span(model)), 131072);
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error(), HasSubstr("2048 pieces and the model's vocabulary 131072"));
}

TEST(TokenizerLoad, RefusesDamagedModels) {
  const std::string model = readNanoFile("tokenizer.model");
  EXPECT_THAT(loadFromString("").error(), HasSubstr("holds none"));
  EXPECT_THAT(loadFromString("not a model").error(), HasSubstr("not a SentencePiece model"));
  EXPECT_THAT(loadFromString(model.substr(0, 1000)).error(), HasSubstr("tokenizer, "));
  std::string emptyPiece = model; // "[PAD]" becomes a piece of no characters
  emptyPiece[emptyPiece.find("[PAD]") - 1] = 0;
  EXPECT_FALSE(loadFromString(emptyPiece));
  std::string twice = model; // two pieces of one name
  twice.replace(twice.find("<0x01>"), 6, "<0x00>");
  EXPECT_THAT(loadFromString(twice).error(), HasSubstr("tokenizer, "));
  // A normaliser (field 3) with a charsmap (field 2) of one byte.
  EXPECT_THAT(loadFromString(model + std::string("\x1a\x03\x12\x01x")).error(),
              HasSubstr("normalisation rules"));
  EXPECT_FALSE(loadFromString(model + "\x1a\x7f")) << "a field longer than the file";
  std::string notAByte = model;
  notAByte.replace(notAByte.find("<0xE2>"), 6, "<0xG2>");
  EXPECT_FALSE(loadFromString(notAByte));
}
