// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/Checkpoint.h"

#include <gtest/gtest.h>

using namespace grok::checkpoint;

static TensorInfo pairTensor() {
  TensorInfo tensor;
  tensor.dtype = DType::i8;
  tensor.shape = {8, 64, 344};
  tensor.quantised = true;
  tensor.scaleShape = {8, 2, 344};
  return tensor;
}

TEST(Checkpoint, KnowsSizesOfTensors) {
  TensorInfo tensor = pairTensor();
  EXPECT_EQ(tensor.elements(), 8 * 64 * 344);
  EXPECT_EQ(tensor.weightBytes(), 8 * 64 * 344);
  EXPECT_EQ(tensor.scaleBytes(), 2 * 8 * 2 * 344);
  EXPECT_EQ(tensor.rowGroups(), 2);
  TensorInfo plain;
  plain.shape = {3};
  EXPECT_EQ(plain.weightBytes(), 12);
  EXPECT_EQ(plain.scaleBytes(), 0);
  EXPECT_EQ(plain.rowGroups(), 1);
}

TEST(Checkpoint, PrintsForms) {
  EXPECT_EQ(pairTensor().form(), "int8 [8, 64, 344], scales bfloat16 [8, 2, 344]");
  EXPECT_EQ(shapeText({}), "[]");
}

TEST(Checkpoint, ComparesForms) {
  TensorInfo other = pairTensor();
  other.name = "other";
  EXPECT_TRUE(pairTensor().sameForm(other));
  other.scaleShape[1] = 1;
  EXPECT_FALSE(pairTensor().sameForm(other));
  other.quantised = false;
  EXPECT_FALSE(pairTensor().sameForm(other));
}

TEST(Checkpoint, CountsElementsWithoutOverflow) {
  std::vector<int64_t> fits = {int64_t(1) << 31, int64_t(1) << 31};
  EXPECT_EQ(elementsOf(fits), int64_t(1) << 62);
  fits.push_back(2);
  EXPECT_EQ(elementsOf(fits), std::nullopt);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{4, 0}), std::nullopt);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{-4, -4}), std::nullopt);
}

TEST(Checkpoint, MakesTextPrintable) {
  EXPECT_EQ(printable(std::string_view("a\0\n\xc3z", 5)), "a\\x00\\x0a\\xc3z");
}
