// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "frontends/checkpoint/xai/PickleMachine.h"
#include "tests/frontends/checkpoint/xai/PickleWriter.h"

#include <gmock/gmock.h>
#include <set>

using namespace grok::checkpoint;
using testing::ElementsAre;
using testing::HasSubstr;

static Result<TensorRecord> run(const std::string &bytes) {
  return readTensorPickle(MemorySource(std::as_bytes(std::span(bytes))));
}

/// The message of a pickle that must be refused.
static std::string refusal(const std::string &bytes) {
  Result<TensorRecord> record = run(bytes);
  return record ? "accepted" : record.error();
}

static ArraySpec smallArray() { return arrayOf(DType::f32, {2, 3}); }

static std::string smallPair() {
  return pairPickle(arrayOf(DType::i8, {4, 3}), arrayOf(DType::bf16, {2, 3}));
}

TEST(PickleMachine, ReadsPlainArray) {
  ArraySpec spec = smallArray();
  spec.payload = "abcdefghijklmnopqrstuvwx";
  std::string bytes = arrayPickle(spec);
  Result<TensorRecord> record = run(bytes);
  ASSERT_TRUE(record) << record.error();
  EXPECT_FALSE(record->scales);
  EXPECT_EQ(record->weight.dtype, DType::f32);
  EXPECT_THAT(record->weight.shape, ElementsAre(2, 3));
  EXPECT_EQ(bytes.substr(static_cast<size_t>(record->weight.offset),
                         static_cast<size_t>(record->weight.bytes)),
            spec.payload);
}

TEST(PickleMachine, ReadsPairWithSharedGlobals) {
  Result<TensorRecord> record = run(smallPair());
  ASSERT_TRUE(record) << record.error();
  EXPECT_EQ(record->weight.dtype, DType::i8);
  EXPECT_THAT(record->weight.shape, ElementsAre(4, 3));
  ASSERT_TRUE(record->scales);
  EXPECT_EQ(record->scales->dtype, DType::bf16);
  EXPECT_THAT(record->scales->shape, ElementsAre(2, 3));
}

TEST(PickleMachine, ReadsOtherSpellings) {
  ArraySpec numpy2 = smallArray();
  numpy2.multiarray = "numpy._core.multiarray";
  EXPECT_TRUE(run(arrayPickle(numpy2)));
  EXPECT_TRUE(run(pairPickle(arrayOf(DType::i8, {1, 1}), arrayOf(DType::bf16, {1, 1}), "model")));
}

TEST(PickleMachine, ReadsRareOpcodes) {
  PickleWriter writer;
  writer.op(Opcode::frame).number(20, 8);
  writer.op(Opcode::global).raw("numpy\nndarray\n").memoize();
  writer.op(Opcode::longBinget).number(0, 4).op(Opcode::tuple2);
  writer.op(Opcode::emptyDict).text("key").op(Opcode::none).op(Opcode::setitem);
  writer.op(Opcode::binbytes8).number(3, 8).raw("abc").op(Opcode::tuple3);
  EXPECT_THAT(refusal(writer.stop()), HasSubstr("the file holds a tuple, not an array"));
}

/// Fails every read that touches bytes of a payload.
class GuardedSource final : public ByteSource {
public:
  GuardedSource(const std::string &bytes, int64_t begin, int64_t end)
      : bytes(bytes), begin(begin), end(end) {}
  int64_t size() const override { return static_cast<int64_t>(bytes.size()); }
  bool read(int64_t offset, std::span<std::byte> out) const override {
    // One window may reach into the payload; nothing may lie inside it.
    int64_t last = offset + static_cast<int64_t>(out.size());
    if (offset > begin && last < end)
      return false;
    return MemorySource(std::as_bytes(std::span(bytes))).read(offset, out);
  }

private:
  const std::string &bytes;
  int64_t begin;
  int64_t end;
};

TEST(PickleMachine, StepsOverPayload) {
  std::string bytes = pairPickle(arrayOf(DType::i8, {100, 1000}), arrayOf(DType::bf16, {1, 1000}));
  Result<TensorRecord> record = run(bytes);
  ASSERT_TRUE(record);
  int64_t begin = record->weight.offset;
  EXPECT_TRUE(readTensorPickle(GuardedSource(bytes, begin, begin + record->weight.bytes)));
}

TEST(PickleMachine, RefusesEveryOtherOpcodeByNameAndByte) {
  const std::set<int> known = {0x28, 0x29, 0x2e, 0x42, 0x43, 0x4a, 0x4b, 0x4d, 0x4e, 0x52,
                               0x62, 0x63, 0x68, 0x6a, 0x73, 0x74, 0x75, 0x7d, 0x80, 0x81,
                               0x85, 0x86, 0x87, 0x88, 0x89, 0x8c, 0x8e, 0x93, 0x94, 0x95};
  for (int code = 0; code < 256; ++code) {
    if (known.contains(code))
      continue;
    std::string expected = describeOpcode(static_cast<uint8_t>(code)) + " at byte 3: not an opcode";
    std::string bytes = PickleWriter().op(Opcode::none).byte(static_cast<uint8_t>(code)).stop();
    EXPECT_THAT(refusal(bytes), HasSubstr(expected));
  }
  EXPECT_EQ(describeOpcode(0x82), "EXT1 (0x82)");
  EXPECT_EQ(describeOpcode(0xff), "unknown opcode (0xff)");
}

TEST(PickleMachine, RefusesOtherGlobals) {
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::global).raw("os\nsystem\n").stop()),
              HasSubstr("GLOBAL (0x63) at byte 2: global 'os system' is not"));
  EXPECT_THAT(refusal(PickleWriter().global("builtins", "eval").stop()),
              HasSubstr("global 'builtins eval' is not"));
  EXPECT_THAT(refusal(PickleWriter().global("a\n\x01", "\xff").stop()),
              HasSubstr("'a\\x0a\\x01 \\xff'"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::global).raw(std::string(5000, 'a')).stop()),
              HasSubstr("too long"));
  EXPECT_THAT(refusal(PickleWriter().integer(1).integer(2).op(Opcode::stackGlobal).stop()),
              HasSubstr("are strings"));
}

TEST(PickleMachine, RefusesOtherCalls) {
  PickleWriter ndarray;
  ndarray.global("numpy", "ndarray").op(Opcode::emptyTuple).op(Opcode::reduce);
  EXPECT_THAT(refusal(ndarray.stop()), HasSubstr("only dtype and _reconstruct may be called"));
  PickleWriter dtype;
  dtype.global("numpy", "dtype").op(Opcode::emptyTuple).op(Opcode::newobj);
  EXPECT_THAT(refusal(dtype.stop()), HasSubstr("only QuantizedWeight8bit() may be made"));
  PickleWriter arguments;
  arguments.global("numpy", "dtype").op(Opcode::emptyTuple).op(Opcode::reduce);
  EXPECT_THAT(refusal(arguments.stop()), HasSubstr("dtype takes (type, False, True)"));
  PickleWriter state;
  state.op(Opcode::emptyDict).op(Opcode::emptyDict).op(Opcode::build);
  EXPECT_THAT(refusal(state.stop()), HasSubstr("a dict takes no state"));
}

TEST(PickleMachine, RefusesOtherProtocols) {
  std::string bytes = arrayPickle(smallArray());
  bytes[1] = 5;
  EXPECT_THAT(refusal(bytes), HasSubstr("pickle protocol 5; only protocol 4 is read"));
  EXPECT_THAT(refusal(bytes.substr(2)), HasSubstr("does not begin with PROTO"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::proto).byte(4).stop()), HasSubstr("at byte 2"));
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
}

TEST(PickleMachine, RefusesOtherArrays) {
  auto refused = [](auto spoil) {
    ArraySpec spec = smallArray();
    spoil(spec);
    return refusal(arrayPickle(spec));
  };
  EXPECT_THAT(refused([](ArraySpec &s) { s.fortran = true; }), HasSubstr("Fortran order"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.byteOrder = ">"; }), HasSubstr("big-endian"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.byteOrder = "="; }), HasSubstr("byte order"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.dtype = "f8"; }), HasSubstr("dtype 'f8' is none of"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.payload += "x"; }),
              HasSubstr("float32 [2, 3] needs 24 bytes, the array has 25"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {2, 0}; }), HasSubstr("positive integer"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {2, -3}; }), HasSubstr("positive integer"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {}; }), HasSubstr("1 to 3 integers"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {1, 1, 2, 3}; }), HasSubstr("1 to 3 integers"));
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {2147483647, 2147483647, 2147483647}; }),
              HasSubstr("is too large"));
  // 2^62 elements fit; their bytes do not.
  EXPECT_THAT(refused([](ArraySpec &s) { s.shape = {1 << 30, 1 << 30, 4}; }),
              HasSubstr("is too large"));
}

TEST(PickleMachine, RefusesOtherPairs) {
  PickleWriter noArrays;
  noArrays.global("__main__", "QuantizedWeight8bit").op(Opcode::emptyTuple).op(Opcode::newobj);
  noArrays.op(Opcode::emptyDict).op(Opcode::mark);
  noArrays.text("weight").op(Opcode::none).text("scales").op(Opcode::none);
  EXPECT_THAT(refusal(noArrays.op(Opcode::setitems).op(Opcode::build).stop()),
              HasSubstr("two arrays"));
  PickleWriter unbuilt;
  unbuilt.global("__main__", "QuantizedWeight8bit").op(Opcode::emptyTuple).op(Opcode::newobj);
  EXPECT_THAT(refusal(unbuilt.stop()), HasSubstr("the file holds a pair, not"));
}

TEST(PickleMachine, RefusesMisusedStack) {
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::tuple1).stop()), HasSubstr("too few values"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::none).op(Opcode::mark).op(Opcode::tuple1).stop()),
              HasSubstr("too few values"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::tuple).stop()), HasSubstr("there is no mark"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::memoize).stop()), HasSubstr("too few values"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::binget).byte(0).stop()),
              HasSubstr("memo 0 was never set"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::longBinget).number(0xffffffff, 4).stop()),
              HasSubstr("memo 4294967295 was never set"));
  EXPECT_THAT(refusal(PickleWriter().stop()), HasSubstr("values left over"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::none).op(Opcode::mark).stop()),
              HasSubstr("values left over"));
  PickleWriter odd;
  odd.op(Opcode::emptyDict).op(Opcode::mark).op(Opcode::none).op(Opcode::setitems);
  EXPECT_THAT(refusal(odd.stop()), HasSubstr("key and value"));
}

TEST(PickleMachine, RefusesLengthsPastTheEnd) {
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::frame).number(1000, 8).stop()),
              HasSubstr("a frame of 1000 bytes, 1 remain"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::frame).number(UINT64_MAX, 8).stop()),
              HasSubstr("truncated"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::binbytes).number(0xffffffff, 4).stop()),
              HasSubstr("data of 4294967295 bytes, 1 remain"));
  for (uint64_t length : {uint64_t(1) << 63, UINT64_MAX, uint64_t(INT64_MAX)})
    EXPECT_THAT(refusal(PickleWriter().op(Opcode::binbytes8).number(length, 8).stop()),
                HasSubstr("the file is truncated"));
  EXPECT_THAT(refusal(PickleWriter().op(Opcode::shortBinunicode).byte(200).stop()),
              HasSubstr("inside a string"));
}

TEST(PickleMachine, RefusesBombs) {
  PickleWriter doubling; // 2^1000 leaves, if anything walked them
  doubling.op(Opcode::none).memoize();
  for (int level = 0; level < 250; ++level) {
    doubling.op(Opcode::binget).byte(static_cast<uint8_t>(level));
    doubling.op(Opcode::binget).byte(static_cast<uint8_t>(level));
    doubling.op(Opcode::tuple2).memoize();
  }
  EXPECT_THAT(refusal(doubling.stop()), HasSubstr("values left over"));

  PickleWriter recursive;
  recursive.op(Opcode::emptyDict).memoize().text("weight").op(Opcode::binget).byte(0);
  EXPECT_THAT(refusal(recursive.op(Opcode::setitem).stop()), HasSubstr("holds a dict"));

  PickleWriter ofItself;
  ofItself.global("__main__", "QuantizedWeight8bit").op(Opcode::emptyTuple).op(Opcode::newobj);
  ofItself.memoize().op(Opcode::emptyDict).op(Opcode::mark);
  for (const char *key : {"weight", "scales"})
    ofItself.text(key).op(Opcode::binget).byte(3);
  EXPECT_THAT(refusal(ofItself.op(Opcode::setitems).op(Opcode::build).stop()),
              HasSubstr("two arrays"));

  PickleWriter endless;
  for (int count = 0; count < 100000; ++count)
    endless.op(Opcode::none).memoize();
  EXPECT_THAT(refusal(endless.stop()), HasSubstr("more than 2048 opcodes"));
}

TEST(PickleMachine, RefusesSecondState) {
  PickleWriter writer;
  writeArray(writer, smallArray());
  // The array's own state tuple is the last thing memoised.
  writer.op(Opcode::binget).byte(static_cast<uint8_t>(writer.memoised() - 1)).op(Opcode::build);
  EXPECT_THAT(refusal(writer.stop()), HasSubstr("this array has its state already"));
}

TEST(PickleMachine, RefusesTrailingBytes) {
  EXPECT_THAT(refusal(arrayPickle(smallArray()) + "xy"),
              HasSubstr("2 bytes follow the pickle's end"));
}

TEST(PickleMachine, RefusesEveryPrefix) {
  for (const std::string &bytes : {smallPair(), arrayPickle(smallArray())})
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_FALSE(run(bytes.substr(0, length))) << length;
}

TEST(PickleMachine, SurvivesEveryChangedByte) {
  const std::string bytes = smallPair();
  for (size_t place = 0; place < bytes.size(); ++place) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = bytes;
      changed[place] = static_cast<char>(value);
      Result<TensorRecord> record = run(changed);
      if (!record) {
        EXPECT_FALSE(record.error().empty());
        EXPECT_EQ(record.error().find('\n'), std::string::npos);
        continue;
      }
      EXPECT_GE(record->weight.offset, 0);
      EXPECT_LE(record->weight.offset + record->weight.bytes, int64_t(bytes.size()));
    }
  }
}
