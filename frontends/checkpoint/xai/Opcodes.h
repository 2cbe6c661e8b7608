// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pickle opcodes that the reader runs, and the names of all others, so that
// a refusal can say what was refused.
#pragma once

#include <cstdint>
#include <string>

namespace grok::checkpoint {

/// Values as in Python's pickletools.
enum class Opcode : uint8_t {
  mark = 0x28,
  emptyTuple = 0x29,
  stop = 0x2e,
  binbytes = 0x42,
  shortBinbytes = 0x43,
  binint = 0x4a,
  binint1 = 0x4b,
  binint2 = 0x4d,
  none = 0x4e,
  reduce = 0x52,
  build = 0x62,
  global = 0x63,
  binget = 0x68,
  longBinget = 0x6a,
  setitem = 0x73,
  tuple = 0x74,
  setitems = 0x75,
  emptyDict = 0x7d,
  proto = 0x80,
  newobj = 0x81,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  shortBinunicode = 0x8c,
  binbytes8 = 0x8e,
  stackGlobal = 0x93,
  memoize = 0x94,
  frame = 0x95,
};

/// "REDUCE (0x52)"; "unknown opcode (0xff)" if pickle has no such opcode.
std::string describeOpcode(uint8_t code);

} // namespace grok::checkpoint
