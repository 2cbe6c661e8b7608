// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which input a parameter has.
#include "compiler/calibration/Statistics.h"

#include <gmock/gmock.h>

using namespace grok::calibration;
using Kind = InputKey::Kind;
using ::testing::Optional;

TEST(Statistics, knowTheInputOfEveryMatrix) {
  const std::string layer = "transformer/decoder_layer_12/";
  for (const char *name : {"query", "key", "value"})
    EXPECT_THAT(inputOf(layer + "multi_head_attention/" + name + "/w", 0),
                Optional(InputKey{12, Kind::attention, -1}));
  EXPECT_THAT(inputOf(layer + "multi_head_attention/linear/w", 0),
              Optional(InputKey{12, Kind::output, -1}));
  EXPECT_THAT(inputOf(layer + "moe/linear/w", 5), Optional(InputKey{12, Kind::expert, 5}));
  EXPECT_THAT(inputOf(layer + "moe/linear_v/w", 0), Optional(InputKey{12, Kind::expert, 0}));
  EXPECT_THAT(inputOf(layer + "moe/linear_1/w", 7), Optional(InputKey{12, Kind::down, 7}));
}

TEST(Statistics, knowNothingOfOtherParameters) {
  EXPECT_FALSE(inputOf("transformer/decoder_layer_0/router/w", 0));
  EXPECT_FALSE(inputOf("transformer/decoder_layer_0/rms_norm/scale", 0));
  EXPECT_FALSE(inputOf("transformer/decoder_layer_0", 0));
  EXPECT_FALSE(inputOf("transformer/decoder_layer_x/moe/linear/w", 0));
  EXPECT_FALSE(inputOf("language_model/in_out_embed/embeddings", 0));
}

TEST(Statistics, digestNamesInputsAndNumbers) {
  const std::vector<float> ones(4, 1);
  Statistics first, other, elsewhere;
  first.inputs.emplace(InputKey{0, Kind::down, 1}, Moments(4, 4));
  other.inputs.emplace(InputKey{0, Kind::down, 2}, Moments(4, 4));
  elsewhere.inputs.emplace(InputKey{0, Kind::down, 1}, Moments(4, 4))
      .first->second.add(ones, 1, 1, 1);
  EXPECT_EQ(first.digest().size(), 16u);
  EXPECT_EQ(first.digest(), Statistics(first).digest());
  EXPECT_NE(first.digest(), other.digest());
  EXPECT_NE(first.digest(), elsewhere.digest());
}
